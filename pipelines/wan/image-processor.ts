import { join } from "node:path";
import { z } from "zod";
import { modelInvalid } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import { checkEqual, readConfig } from "#pipelines/diffusion/model-configs.ts";
import { type ClipProcessorConfig, checkClipSize, clipProcessorConfig } from "#pipelines/images/clip-pixels.ts";

/** Of transformers' `CLIPVisionModel`. */
const imageEncoderConfig = z.object({
  image_size: z.int().positive(),
  patch_size: z.int().positive(),
  hidden_size: z.int().positive(),
});

/** What the transformer's config says of pictures. */
interface PictureFields {
  readonly image_dim?: number | null | undefined;
  readonly pos_embed_seq_len?: number | null | undefined;
}

/**
 * How pictures are prepared for the image encoder of a model whose transformer takes their features; undefined for one that
 * takes none.
 * @throws PipelineError MODEL_INVALID when the encoder is missing, or does not fit the transformer; MODEL_NOT_FOUND
 */
export async function readImageProcessor(
  folder: string,
  { image_dim: imageWidth, pos_embed_seq_len: featuresOfBoth }: PictureFields,
): Promise<ClipProcessorConfig | undefined> {
  if (typeof imageWidth !== "number") return undefined;
  const path = join(folder, "image_encoder/config.json");
  const encoder = await readJson(path, imageEncoderConfig);
  if (encoder === undefined) {
    throw modelInvalid(
      join(folder, "transformer/config.json"),
      `the transformer takes features of pictures (image_dim ${imageWidth}), but there is no image_encoder/: export the folder again, with it`,
    );
  }
  checkEqual(path, "hidden_size", encoder.hidden_size, "the transformer's image_dim", imageWidth);
  if (typeof featuresOfBoth === "number") {
    const features = 2 * (Math.floor(encoder.image_size / encoder.patch_size) ** 2 + 1);
    checkEqual(
      path,
      "number of features of two pictures",
      features,
      "the transformer's pos_embed_seq_len",
      featuresOfBoth,
    );
  }
  const processorPath = join(folder, "image_processor/preprocessor_config.json");
  const processor = await readConfig(processorPath, clipProcessorConfig);
  checkClipSize(processorPath, processor, encoder.image_size);
  return processor;
}
