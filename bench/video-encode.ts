import { execFile } from "node:child_process";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { encodeArguments } from "#pipelines/video/commands.ts";
import { findFfmpeg } from "#pipelines/video/ffmpeg-paths.ts";
import { shapesFrame } from "#pipelines/video/testing/clips.ts";
import { probe } from "#pipelines/video/verify.ts";
import { openVideoEncoder } from "#pipelines/video/video-encoder.ts";
import { median, printTable, spread } from "./support/table.ts";

/*
 * Frames to MP4: through the encoder, which checks the finished file too, beside ffmpeg itself with the same arguments on a
 * file of the same raw frames, and beside that followed by the same check. In turns, RUNS (default 7) each, on 81 frames of
 * 480×832. Then what this process holds in memory while it encodes clips of two lengths, whose frames are made one by one.
 */
const runs = Number(process.env.RUNS ?? 7);
const frames = 81;
const [width, height, fps] = [480, 832, 16];

const folder = await mkdtemp(join(tmpdir(), "ourvidz-bench-"));
const paths = await findFfmpeg();
const raw = join(folder, "frames.rgb");
const clip = Array.from({ length: frames }, (_, index) => shapesFrame(index, width, height));

async function writeRaw(): Promise<void> {
  const file = await open(raw, "w");
  for (const frame of clip) await file.write(frame);
  await file.close();
}

async function ffmpegAlone(): Promise<void> {
  const output = join(folder, "alone.mp4");
  const command = { width, height, fps, container: "mp4", encoder: "libx264", crf: 18, output } as const;
  const args = encodeArguments(command).map((arg) => (arg === "pipe:0" ? raw : arg));
  await promisify(execFile)(paths.ffmpeg, args);
}

async function check(): Promise<void> {
  await probe(join(folder, "alone.mp4"), paths, undefined);
}

async function encoder(): Promise<void> {
  const video = await openVideoEncoder({ path: join(folder, "ours.mp4"), width, height, fps, encoder: "cpu" });
  for (const frame of clip) await video.write(frame);
  await video.finish();
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function compareSpeed(): Promise<void> {
  const alone: number[] = [];
  const checked: number[] = [];
  const ours: number[] = [];
  await encoder();
  for (let run = 0; run < runs; run++) {
    const encoding = await seconds(ffmpegAlone);
    alone.push(encoding);
    checked.push(encoding + (await seconds(check)));
    ours.push(await seconds(encoder));
  }
  const row = (name: string, times: readonly number[]) => [
    name,
    spread(times, 2),
    spread(times.map((time) => frames / time)),
    (median(alone) / median(times)).toFixed(2),
    (Math.min(...alone) / Math.min(...times)).toFixed(2),
  ];
  printTable([
    ["what", "seconds", "frames a second", "speed, medians", "speed, fastest"],
    row("ffmpeg on a raw file", alone),
    row("… and the check", checked),
    row("the encoder (with the check)", ours),
  ]);
}

/** The highest resident memory of this process above that before, in MB. */
async function memory(count: number): Promise<number> {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let highest = before;
  const video = await openVideoEncoder({ path: join(folder, "memory.mp4"), width, height, fps, encoder: "cpu" });
  for (let index = 0; index < count; index++) {
    await video.write(shapesFrame(index, width, height));
    highest = Math.max(highest, process.memoryUsage.rss());
  }
  await video.finish();
  return (highest - before) / 1e6;
}

async function compareMemory(): Promise<void> {
  const rows = [];
  // The first one warms the process up.
  for (const count of [17, 17, 161])
    rows.push([
      String(count),
      `${((count * width * height * 3) / 1e6).toFixed(0)} MB`,
      `${(await memory(count)).toFixed(0)} MB`,
    ]);
  printTable([["frames", "raw", "memory of this process, more than before"], ...rows.slice(1)]);
}

try {
  await writeRaw();
  await compareSpeed();
  clip.length = 0;
  await compareMemory();
} finally {
  await rm(folder, { recursive: true });
}
