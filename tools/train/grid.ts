/*
 * Draws the prompts of grid-prompts.txt with the command line, each with its seed, and joins the pictures:
 *   node tools/train/grid.ts docs/images/tiny-sdxl.webp
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import sharp from "sharp";

const columns = 8;
const shownSize = 128;
const gap = 4;

const entry = fileURLToPath(new URL("../../cli/ourvidz.js", import.meta.url));
const list = new URL("grid-prompts.txt", import.meta.url);
const [output] = process.argv.slice(2);
if (output === undefined) throw new Error("Give the file to write: node tools/train/grid.ts <file.webp>");

/** Runs one job and returns the path of its picture: the only PNG in the folder's own subfolder. */
async function draw(prompt: string, seed: string, folder: string): Promise<Buffer> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...[entry, "run", "sdxl_image_high", prompt],
    ...["--seed", seed, "--out", folder],
  ]);
  const file = stdout.split("\n").find((line) => line.endsWith(".png"));
  if (file === undefined) throw new Error(`no picture for "${prompt}":\n${stdout}`);
  return await sharp(file).resize(shownSize, shownSize, { kernel: "cubic" }).png().toBuffer();
}

const folder = await mkdtemp(join(tmpdir(), "grid-"));
try {
  const lines = (await readFile(list, "utf8")).trim().split("\n");
  const pictures: Buffer[] = [];
  for (const line of lines) {
    const [, seed = "", prompt = ""] = /^(\d+) (.+)$/.exec(line) ?? [];
    pictures.push(await draw(prompt, seed, folder));
  }
  await sharp(pictures, { join: { across: columns, shim: gap, background: "white" } })
    .webp({ quality: 90 })
    .toFile(output);
} finally {
  await rm(folder, { recursive: true });
}
