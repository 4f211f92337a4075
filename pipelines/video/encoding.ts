import { rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { unsupportedOption } from "#pipelines/core/errors.ts";
import { markNvencFailed } from "./choose-encoder.ts";
import { type Container, encodeArguments, type VideoEncoderName } from "./commands.ts";
import { encodingFailed } from "./errors.ts";
import type { FfmpegPaths } from "./ffmpeg-paths.ts";
import { FfmpegProcess } from "./ffmpeg-process.ts";
import { padTo, type Size } from "./frame-size.ts";
import { verifyVideo } from "./verify.ts";

/** A finished file, read once and found to be what was written. */
export interface VideoFile {
  readonly path: string;
  readonly frames: number;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly durationSeconds: number;
  readonly sizeBytes: number;
  /** As ffprobe names it: `h264`, `av1`, `vp9`, `webp`. */
  readonly codec: string;
  /** `external` for a file of another program. */
  readonly encoder: VideoEncoderName | "external";
  /** Why the GPU's encoder was not used, where there is a GPU. */
  readonly fellBack?: string;
}

export interface EncodingOptions {
  readonly path: string;
  readonly paths: FfmpegPaths;
  readonly container: Container;
  readonly crf: number;
  readonly fps: number;
  /** Of the frames that are written, and of the file. */
  readonly given: Size;
  readonly size: Size;
  readonly signal: AbortSignal | undefined;
  readonly fellBack: string | undefined;
}

/** As long as so few frames are written, they are kept for another start: a GPU that has no session left reports it at the first. */
const keptForRestart = 4;

/**
 *   open ──finish──► finished (the file has its name)
 *     └──abort, signal, failure──► discarded (no process, no file)
 */
export class Encoding {
  readonly #options: EncodingOptions;
  readonly #part: string;
  #state: "open" | "finished" | "discarded" = "open";
  #process: FfmpegProcess | undefined;
  #encoder: VideoEncoderName = "libx264";
  #fellBack: string | undefined;
  #written = 0;
  #kept: Uint8Array[] = [];

  constructor(options: EncodingOptions) {
    this.#options = options;
    this.#fellBack = options.fellBack;
    this.#part = join(dirname(options.path), `.${basename(options.path)}.part`);
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** What cannot be removed now goes with the folder. */
  readonly #onAbort = () => void this.#discard().catch(() => undefined);

  async start(encoder: VideoEncoderName): Promise<void> {
    const { paths, container, crf, fps, size } = this.#options;
    this.#encoder = encoder;
    const command = { ...size, fps, container, encoder, crf, output: this.#part };
    this.#process = new FfmpegProcess(paths.ffmpeg, encodeArguments(command));
    if (!(await this.#process.hasStarted())) await this.#fail();
  }

  async write(frame: Uint8Array | Uint8ClampedArray): Promise<void> {
    const { given, size } = this.#options;
    this.#requireOpen();
    if (frame.length !== given.width * given.height * 3) {
      const expected = `${given.width} · ${given.height} · 3 = ${given.width * given.height * 3}`;
      throw new RangeError(`the frame has ${frame.length} bytes instead of ${expected}`);
    }
    const bytes = padTo(new Uint8Array(frame.buffer, frame.byteOffset, frame.length), given, size);
    if (this.#encoder === "h264_nvenc" && this.#written < keptForRestart) this.#kept.push(bytes.slice());
    this.#written++;
    if (await this.#process?.write(bytes)) return;
    if (!(await this.#restarted())) await this.#fail();
  }

  async finish(): Promise<VideoFile> {
    const { path, paths, container, size, fps, signal } = this.#options;
    this.#requireOpen();
    if (this.#written === 0) {
      await this.#discard();
      throw unsupportedOption("A video needs at least one frame.");
    }
    await this.#close();
    const expected = { ...size, fps, frames: this.#written };
    try {
      const { facts, sizeBytes } = await verifyVideo(this.#part, container, expected, paths, signal);
      await rename(this.#part, path);
      this.#settle("finished");
      const fellBack = this.#fellBack === undefined ? {} : { fellBack: this.#fellBack };
      return { ...facts, path, fps, sizeBytes, encoder: this.#encoder, ...fellBack };
    } catch (error) {
      await this.#discard();
      throw error;
    }
  }

  async abort(): Promise<void> {
    await this.#discard();
  }

  /** No more frames; returns when ffmpeg has ended well. */
  async #close(): Promise<void> {
    this.#process?.close();
    const end = await this.#process?.ended;
    if (end?.kind === "ended" && end.code === 0) return;
    if (await this.#restarted()) return await this.#close();
    await this.#fail();
  }

  /** Starts again on the CPU when the GPU's encoder failed while all frames so far are still here. */
  async #restarted(): Promise<boolean> {
    if (this.#encoder !== "h264_nvenc" || this.#process === undefined) return false;
    const problem = encodingFailed(await this.#process.ended, this.#written).message;
    if (this.#state !== "open") return false;
    markNvencFailed(this.#options.paths, problem);
    if (this.#written > this.#kept.length) return false;
    this.#fellBack = problem;
    await this.start("libx264");
    for (const frame of this.#kept.splice(0)) {
      if (!(await this.#process.write(frame))) return false;
    }
    return true;
  }

  /** Throws what ended the encoding. */
  async #fail(): Promise<never> {
    const end = await this.#process?.ended;
    await this.#discard();
    this.#options.signal?.throwIfAborted();
    throw end === undefined ? new Error("the encoder was not started") : encodingFailed(end, this.#written);
  }

  async #discard(): Promise<void> {
    if (this.#state === "finished") return;
    this.#settle("discarded");
    await this.#process?.kill();
    await rm(this.#part, { force: true });
  }

  #settle(state: "finished" | "discarded"): void {
    this.#state = state;
    this.#kept = [];
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }

  #requireOpen(): void {
    this.#options.signal?.throwIfAborted();
    if (this.#state !== "open") throw new Error(`the video encoder takes no more frames: it is ${this.#state}`);
  }
}
