import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { VideoHost } from "#pipelines/core/host.ts";
import { encodeThumbnail } from "#pipelines/images/encode.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { EncoderChoice } from "./choose-encoder.ts";
import type { Container } from "./commands.ts";
import { ContactSheet, encodePoster, type Still } from "./stills.ts";
import { openVideoEncoder, type VideoEncoder, type VideoFile } from "./video-encoder.ts";

export interface VideoAssetOptions {
  readonly width: number;
  readonly height: number;
  /** How many frames will be added; decides which one the thumbnail is made of. */
  readonly frames: number;
  readonly fps: number;
  readonly container?: Container | undefined;
  readonly crf?: number | undefined;
  readonly encoder?: EncoderChoice | undefined;
  /** Also hand over the first frame, in full size. */
  readonly poster?: boolean | undefined;
  /** Also hand over a sheet of frames from beginning to end. */
  readonly contactSheet?: boolean | undefined;
}

/** Animated WebP is a picture to those who show it. */
const kinds = {
  mp4: { type: "video", mimeType: "video/mp4" },
  webm: { type: "video", mimeType: "video/webm" },
  webp: { type: "image", mimeType: "image/webp" },
} as const;

/**
 * A video that is encoded while its frames are made, and handed to the host when it is whole.
 * @throws as `openVideoEncoder`
 */
export async function openVideoAsset(host: VideoHost, options: VideoAssetOptions): Promise<VideoAsset> {
  const { width, height, fps, container = "mp4", crf, encoder: choice } = options;
  const path = join(await host.scratch(), `${randomUUID()}.${container}`);
  const { signal } = host;
  const encoder = await openVideoEncoder({ path, width, height, fps, container, crf, encoder: choice, signal });
  return new VideoAsset(host, { ...options, container }, encoder);
}

/**
 * A finished MP4 of another program, handed over as it is. Its frames are added all the same, for the pictures beside it.
 * @param file read once, and found to be what the options say
 */
export async function adoptVideo(
  host: VideoHost,
  options: Omit<VideoAssetOptions, "container" | "crf" | "encoder">,
  file: Omit<VideoFile, "encoder" | "sizeBytes">,
): Promise<VideoAsset> {
  const { size: sizeBytes } = await stat(file.path);
  const nothing = async () => undefined;
  const finish = async () => ({ ...file, sizeBytes, encoder: "external" }) as const;
  return new VideoAsset(host, { ...options, container: "mp4" }, { write: nothing, abort: nothing, finish });
}

class VideoAsset {
  readonly #host: VideoHost;
  readonly #options: VideoAssetOptions & { readonly container: Container };
  readonly #encoder: VideoEncoder;
  readonly #sheet: ContactSheet | undefined;
  #added = 0;
  #thumbnail: Promise<Uint8Array> | undefined;
  #poster: Promise<Still> | undefined;

  constructor(host: VideoHost, options: VideoAssetOptions & { readonly container: Container }, encoder: VideoEncoder) {
    this.#host = host;
    this.#options = options;
    this.#encoder = encoder;
    if (options.contactSheet === true) this.#sheet = new ContactSheet(options.frames);
  }

  /** Adds a frame; resolves when the encoder has taken it. @throws as `VideoEncoder.write` */
  async add(frame: RgbImage): Promise<void> {
    const index = this.#added++;
    const { width, height, frames } = this.#options;
    if (frame.width !== width || frame.height !== height)
      throw new RangeError(`frame ${index} is ${frame.width}×${frame.height} instead of ${width}×${height}`);
    if (index === Math.floor(frames / 2)) this.#thumbnail = encodeThumbnail(frame);
    if (index === 0 && this.#options.poster === true) this.#poster = encodePoster(frame);
    await Promise.all([this.#thumbnail, this.#poster, this.#sheet?.add(index, frame), this.#encoder.write(frame.data)]);
  }

  /**
   * Ends the file and hands it over, with its thumbnail.
   * @param metadata of the asset, beside frames, fps, duration, size and how it was encoded
   * @throws as `VideoEncoder.finish`
   */
  async finish(metadata: Readonly<Record<string, unknown>>): Promise<VideoFile> {
    const thumbnail = await this.#thumbnail;
    if (thumbnail === undefined || this.#added !== this.#options.frames) {
      await this.#encoder.abort();
      throw new RangeError(`the video has ${this.#added} frames instead of ${this.#options.frames}`);
    }
    const file = await this.#encoder.finish();
    const { container } = this.#options;
    const { width, height, frames, fps, durationSeconds: duration, codec, encoder, fellBack } = file;
    const facts = { width, height, frames, fps, duration, codec, encoder };
    await this.#host.asset(
      { file: file.path },
      {
        ...kinds[container],
        extension: container,
        thumbnail: { extension: "webp", mimeType: "image/webp", bytes: thumbnail },
        metadata: { ...metadata, ...facts, ...(fellBack === undefined ? {} : { fell_back: fellBack }) },
      },
    );
    await this.#handOver("poster", await this.#poster, metadata);
    await this.#handOver("contact_sheet", await this.#sheet?.encode(), metadata);
    return file;
  }

  /** Kills the encoder and removes what it has written. */
  async abort(): Promise<void> {
    await this.#encoder.abort();
  }

  async #handOver(role: string, still: Still | undefined, metadata: Readonly<Record<string, unknown>>): Promise<void> {
    if (still === undefined) return;
    const { bytes, width, height } = still;
    const webp = { extension: "webp", mimeType: "image/webp" } as const;
    await this.#host.asset(bytes, {
      type: "image",
      ...webp,
      thumbnail: { ...webp, bytes: await encodeThumbnail(bytes) },
      metadata: { ...metadata, role, width, height },
    });
  }
}

export type { VideoAsset };
