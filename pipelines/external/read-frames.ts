import { spawn } from "node:child_process";
import { once } from "node:events";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { Size } from "#pipelines/video/frame-size.ts";
import { engineFailed } from "./errors.ts";

const keptLogCharacters = 2000;

/**
 * Every frame of a video file, decoded one at a time as its reader goes on. A file that breaks off or is damaged ends with an
 * error, and not with fewer frames.
 * @throws PipelineError ENGINE_FAILED; the signal's reason
 */
export async function* readFrames(
  ffmpeg: string,
  file: string,
  { width, height }: Size,
  signal: AbortSignal,
): AsyncGenerator<RgbImage> {
  const toRgb = ["-vf", "scale=flags=bicubic+accurate_rnd+full_chroma_int", "-pix_fmt", "rgb24", "-f", "rawvideo"];
  const args = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", file, "-map", "0:v:0", ...toRgb, "pipe:1"];
  const child = spawn(ffmpeg, args, { stdio: ["ignore", "pipe", "pipe"], windowsHide: true });
  const exit = once(child, "close");
  exit.catch(() => undefined);
  const kill = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-keptLogCharacters);
  });
  try {
    const frame = new Uint8ClampedArray(width * height * 3);
    let filled = 0;
    for await (const chunk of child.stdout) {
      const bytes: Uint8Array = chunk;
      for (let at = 0; at < bytes.length; ) {
        const taken = Math.min(bytes.length - at, frame.length - filled);
        frame.set(bytes.subarray(at, at + taken), filled);
        at += taken;
        filled += taken;
        if (filled < frame.length) continue;
        yield { data: frame, width, height };
        filled = 0;
      }
    }
    const [code] = await exit;
    signal.throwIfAborted();
    const reason = log.trim().split("\n").at(-1) ?? "";
    if (code !== 0 || filled > 0)
      throw engineFailed(`The command's file cannot be decoded (${reason || "it breaks off"})`);
  } finally {
    signal.removeEventListener("abort", kill);
    kill();
  }
}
