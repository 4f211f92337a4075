import { createHash } from "node:crypto";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { ComponentSet } from "#pipelines/core/component-set.ts";
import { numericalError } from "#pipelines/core/errors.ts";
import { filesKey } from "#pipelines/core/files-key.ts";
import { checkShape, concat, isFiniteData, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { EmbeddingCache } from "#pipelines/diffusion/embedding-cache.ts";
import { type ClipProcessorConfig, clipPixels } from "#pipelines/images/clip-pixels.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { files } from "./model-folder.ts";

/**
 * Pictures to the features that the transformer attends to. The image encoder is loaded at the first picture whose features
 * the cache does not know.
 */
export class PictureEncoder {
  readonly #components: ComponentSet;
  readonly #processor: ClipProcessorConfig;
  readonly #modelKey: string;
  readonly #cache: EmbeddingCache;

  private constructor(components: ComponentSet, processor: ClipProcessorConfig, key: string, cache: EmbeddingCache) {
    this.#components = components;
    this.#processor = processor;
    this.#modelKey = key;
    this.#cache = cache;
  }

  /** @param folder of the model, which has an image encoder */
  static async create(
    folder: string,
    components: ComponentSet,
    processor: ClipProcessorConfig,
    cache: EmbeddingCache,
  ): Promise<PictureEncoder> {
    const key = await filesKey(["image_encoder", "image_processor"].map((name) => join(folder, name)));
    return new PictureEncoder(components, processor, key, cache);
  }

  /**
   * Features of the pictures, one picture's after the other's, as diffusers' `encode_image` makes them: the hidden states
   * that the encoder's last layer would read.
   * @returns `[1, pictures · features, width]`
   * @throws PipelineError MODEL_TOO_LARGE, NUMERICAL_ERROR; the signal's reason, between two pictures
   */
  async encode(pictures: readonly RgbImage[], signal: AbortSignal | undefined): Promise<Tensor> {
    const features: Tensor[] = [];
    for (const picture of pictures) {
      signal?.throwIfAborted();
      features.push(await this.#encodeOne(picture));
      await setImmediate();
    }
    signal?.throwIfAborted();
    return concat(features, 1);
  }

  async #encodeOne(picture: RgbImage): Promise<Tensor> {
    const { width, height, data } = picture;
    const content = createHash("sha256").update(data).digest("hex");
    const key = EmbeddingCache.keyOf([this.#modelKey, "picture", `${width}×${height}`, content]);
    const known = await this.#cache.get(key);
    if (known !== undefined) return tensor(known.rows, [1, known.rows.length / known.width, known.width]);
    const features = await this.#run(picture);
    await this.#cache.set(key, { rows: features.data, width: features.dims[2] ?? 1, cutTokens: 0 });
    return features;
  }

  async #run(picture: RgbImage): Promise<Tensor> {
    const encoder = await this.#components.get(files.imageEncoder);
    const [name = ""] = encoder.outputs;
    const pixels = clipPixels(picture, this.#processor);
    const { [name]: states } = await encoder.run<string>({ pixel_values: pixels }, [name]);
    if (states === undefined || !isFiniteData(states.data)) {
      throw numericalError(
        "the picture as the image encoder has encoded it",
        "Image encoders that overflow in float16 do this: export it in float32.",
      );
    }
    checkShape("features of a picture", states.dims, [1, -1, -1]);
    return states;
  }
}
