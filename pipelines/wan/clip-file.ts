import type { VideoHost } from "#pipelines/core/host.ts";
import { generationTexts, type PictureOrigin } from "#pipelines/diffusion/generation-text.ts";
import { type PictureFile, saveImages } from "#pipelines/diffusion/save-images.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { samplerNames } from "#pipelines/schedulers/sampler-names.ts";
import { openVideoAsset, type VideoAsset, type VideoAssetOptions } from "#pipelines/video/save-video.ts";
import type { ClipShape } from "./clip-shape.ts";
import type { WanResult } from "./pipeline.ts";

/** The file that frames become. */
export interface ClipFile {
  /** Takes the next frame; resolves when there is room for another. */
  add(frame: RgbImage): Promise<void>;
  /** Hands the file over. @returns what is reported of it */
  finish(sampling: Sampling): Promise<Readonly<Record<string, unknown>>>;
  /** Leaves nothing behind, also when no frame has come. */
  abort(): Promise<void>;
}

/** What the model decides where the job does not. */
export type Sampling = Pick<WanResult, "scheduler" | "flowShift">;

/** How the clip was made, when it is known by which sampling. */
type OriginOf = (sampling: Sampling) => PictureOrigin & Readonly<Record<string, unknown>>;

/** The rest is that of its file. */
type PlayedShape = ClipShape & VideoAssetOptions & { readonly picture: PictureFile };

/** One frame becomes a picture, more become a video. */
export function openClipFile(host: VideoHost, shape: PlayedShape, originOf: OriginOf): ClipFile {
  return shape.frames === 1 ? new FrameFile(host, shape.picture, originOf) : new VideoFile(host, shape, originOf);
}

class FrameFile implements ClipFile {
  readonly #host: VideoHost;
  readonly #picture: PictureFile;
  readonly #originOf: OriginOf;
  #frame: RgbImage | undefined;

  constructor(host: VideoHost, picture: PictureFile, originOf: OriginOf) {
    this.#host = host;
    this.#picture = picture;
    this.#originOf = originOf;
  }

  async add(frame: RgbImage): Promise<void> {
    this.#frame = frame;
  }

  async finish(sampling: Sampling): Promise<Readonly<Record<string, unknown>>> {
    if (this.#frame === undefined) throw new RangeError("the frame of the picture is missing");
    const origin = this.#originOf(sampling);
    const texts = generationTexts(origin, samplerNames(origin.scheduler, {}), {});
    await saveImages([{ image: this.#frame, seed: origin.seed, texts }], this.#host, this.#picture);
    return {};
  }

  async abort(): Promise<void> {
    this.#frame = undefined;
  }
}

class VideoFile implements ClipFile {
  readonly #host: VideoHost;
  readonly #shape: PlayedShape;
  readonly #originOf: OriginOf;
  /** Opened at the first frame: no process waits while a clip is denoised. */
  #video: VideoAsset | undefined;

  constructor(host: VideoHost, shape: PlayedShape, originOf: OriginOf) {
    this.#host = host;
    this.#shape = shape;
    this.#originOf = originOf;
  }

  async add(frame: RgbImage): Promise<void> {
    this.#video ??= await openVideoAsset(this.#host, this.#shape);
    await this.#video.add(frame);
  }

  async finish(sampling: Sampling): Promise<Readonly<Record<string, unknown>>> {
    if (this.#video === undefined) throw new RangeError("the clip has no frame");
    const file = await this.#video.finish({ seed: this.#originOf(sampling).seed });
    return { fps: file.fps, duration: file.durationSeconds, video_encoder: file.encoder };
  }

  async abort(): Promise<void> {
    await this.#video?.abort();
  }
}
