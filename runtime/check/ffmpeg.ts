import { execFile } from "node:child_process";
import { chmodSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Check } from "./tried.ts";

const limitMs = 10_000;

/** A program that runs: where it is, and which. */
interface FoundTool {
  readonly command: string;
  readonly version: string;
  readonly isPackaged: boolean;
}

type FindTool = (tool: "ffmpeg" | "ffprobe") => Promise<FoundTool | null>;

/**
 * Needed to encode videos: without ffmpeg and ffprobe, or without an encoder for H.264, the job types that make them fail,
 * and only they. Looked for where the pipelines look: on the PATH, then in the npm packages.
 */
export async function tryFfmpeg(
  registry: Registry,
  findTool: FindTool = (tool) => findOnThisMachine(tool),
): Promise<Check> {
  const types = registry.all().filter(({ produces }) => produces === "video");
  const needed = types.length === 0 ? "only videos need it" : `needed by ${types.map(({ type }) => type).join(", ")}`;
  const [ffmpeg, ffprobe] = await Promise.all([findTool("ffmpeg"), findTool("ffprobe")]);
  const check = { subject: "ffmpeg", name: "ffmpeg" } as const;
  const isBad = { ...check, status: types.length > 0 ? "failed" : "warning" } as const;
  const missing = ffmpeg === null ? "ffmpeg" : "ffprobe";
  if (ffmpeg === null || ffprobe === null) {
    const remedy = "install ffmpeg and put it on the PATH, or install the optional npm packages (npm ci)";
    return { ...isBad, message: `${missing} cannot be run: ${remedy} (${needed}).` };
  }
  const encoders = await videoEncoders(ffmpeg.command);
  if (!encoders.includes("libx264")) {
    const remedy = "install one that has, as Debian's, Ubuntu's or Homebrew's";
    return { ...isBad, message: `${where(ffmpeg)} has no encoder libx264 for MP4: ${remedy} (${needed}).` };
  }
  const others = ["h264_nvenc", "libsvtav1", "libvpx-vp9", "libwebp_anim"].filter((name) => encoders.includes(name));
  return { ...check, status: "ok", message: `${where(ffmpeg)}, with ${["libx264", ...others].join(", ")}` };
}

function where({ version, isPackaged }: FoundTool): string {
  return `ffmpeg ${version} ${isPackaged ? "of the npm package @ffmpeg-installer" : "on the PATH"}`;
}

/**
 * Of this machine; `onPath` is the name that is looked up there. An ffmpeg without libx264 is passed over when the packages'
 * has it.
 */
export async function findOnThisMachine(tool: "ffmpeg" | "ffprobe", onPath: string = tool): Promise<FoundTool | null> {
  const found = await look(onPath, false);
  if (found !== null && (tool === "ffprobe" || (await encodesH264(found)))) return found;
  const command = packagedTool(tool);
  const packaged = command === null ? null : await look(command, true);
  return packaged ?? found;
}

async function look(command: string, isPackaged: boolean): Promise<FoundTool | null> {
  const version = await versionOf(command);
  return version === null ? null : { command, version, isPackaged };
}

async function encodesH264({ command }: FoundTool): Promise<boolean> {
  return (await videoEncoders(command)).includes("libx264");
}

async function versionOf(command: string): Promise<string | null> {
  const output = await outputOf(command, ["-version"]);
  return output === null ? null : (/ version (\S+)/.exec(output)?.[1] ?? "of an unknown version");
}

async function videoEncoders(command: string): Promise<readonly string[]> {
  const output = (await outputOf(command, ["-hide_banner", "-encoders"])) ?? "";
  return [...output.matchAll(/^ V\S{5} (\S+)/gm)].map(([, name = ""]) => name);
}

async function outputOf(command: string, args: readonly string[]): Promise<string | null> {
  try {
    return (await promisify(execFile)(command, [...args], { timeout: limitMs })).stdout;
  } catch {
    return null;
  }
}

function packagedTool(tool: "ffmpeg" | "ffprobe"): string | null {
  try {
    const wrapper = createRequire(import.meta.url).resolve(`@${tool}-installer/${tool}/package.json`);
    const platform = `@${tool}-installer/${process.platform}-${process.arch}/package.json`;
    const folder = dirname(createRequire(wrapper).resolve(platform));
    const file = join(folder, process.platform === "win32" ? `${tool}.exe` : tool);
    // As the pipelines do: ffprobe is packed without the permission to run it.
    if ((statSync(file).mode & 0o100) === 0) chmodSync(file, 0o755);
    return file;
  } catch {
    return null;
  }
}
