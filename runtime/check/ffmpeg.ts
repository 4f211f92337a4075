import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Check } from "./tried.ts";

const limitMs = 10_000;

/** Needed to encode videos: without it the job types that make them fail, and only they. */
export async function tryFfmpeg(registry: Registry): Promise<Check> {
  const videoTypes = registry.all().filter(({ produces }) => produces === "video");
  try {
    const { stdout } = await promisify(execFile)("ffmpeg", ["-version"], { timeout: limitMs });
    return { subject: "ffmpeg", name: "ffmpeg", status: "ok", message: stdout.split("\n", 1)[0]?.trim() ?? "found" };
  } catch {
    const needed = videoTypes.length > 0;
    const types = videoTypes.map(({ type }) => type).join(", ");
    return {
      subject: "ffmpeg",
      name: "ffmpeg",
      status: needed ? "failed" : "warning",
      message: `ffmpeg cannot be run: install it and put it on the PATH (${needed ? `needed by ${types}` : "only videos need it"}).`,
    };
  }
}
