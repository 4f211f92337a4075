/*
 * Makes the clips of sheet-prompts.txt with the command line, each with its seed, and joins them:
 *   node tools/train/wan/sheet.ts docs/images/tiny-wan.webp docs/images/tiny-wan-moving.webp
 * The first file shows eight frames of each clip in a row, the second all clips, moving.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import sharp from "sharp";

const framesInRow = 8;
const shownSize = 96;
const gap = 4;
const framesPerSecond = 8;

const entry = fileURLToPath(new URL("../../../cli/ourvidz.js", import.meta.url));
const list = new URL("sheet-prompts.txt", import.meta.url);
const [still, moving] = process.argv.slice(2);
if (still === undefined || moving === undefined)
  throw new Error("Give the two files to write: node tools/train/wan/sheet.ts <still.webp> <moving.webp>");

/** Runs one job and returns the frames of its clip, enlarged, as PNG files. */
async function draw(prompt: string, seed: string, folder: string): Promise<Buffer[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...[entry, "run", "video_high", prompt, "--seed", seed, "--out", folder],
    ...["--config", JSON.stringify({ video_format: "webp" })],
  ]);
  const file = stdout.split("\n").find((line) => line.endsWith(".webp"));
  if (file === undefined) throw new Error(`no clip for "${prompt}":\n${stdout}`);
  const { pages = 1 } = await sharp(file).metadata();
  return await Promise.all(
    Array.from({ length: pages }, (_, page) =>
      sharp(file, { page }).resize(shownSize, shownSize, { kernel: "cubic" }).png().toBuffer(),
    ),
  );
}

const joined = (pictures: Buffer[], across: number) =>
  sharp(pictures, { join: { across, shim: gap, background: "white" } });

const folder = await mkdtemp(join(tmpdir(), "sheet-"));
try {
  const clips: Buffer[][] = [];
  for (const line of (await readFile(list, "utf8")).trim().split("\n")) {
    const [, seed = "", prompt = ""] = /^(\d+) (.+)$/.exec(line) ?? [];
    clips.push(await draw(prompt, seed, folder));
  }
  const length = Math.min(...clips.map((frames) => frames.length));
  const at = (clip: Buffer[], index: number): Buffer[] => clip.slice(index, index + 1);
  const rows = clips.flatMap((clip) =>
    Array.from({ length: framesInRow }, (_, column) =>
      at(clip, Math.round((column * (length - 1)) / (framesInRow - 1))),
    ).flat(),
  );
  await joined(rows, framesInRow).webp({ quality: 85 }).toFile(still);
  const pages = await Promise.all(
    Array.from({ length }, (_, frame) =>
      joined(
        clips.flatMap((clip) => at(clip, frame)),
        clips.length / 2,
      )
        .png()
        .toBuffer(),
    ),
  );
  await sharp(pages, { join: { animated: true } })
    .webp({ quality: 80, delay: pages.map(() => 1000 / framesPerSecond), loop: 0 })
    .toFile(moving);
} finally {
  await rm(folder, { recursive: true });
}
