import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { expect, test } from "vitest";
import { sha256 } from "#runtime/inputs/testing/harness.ts";
import { runCli, temporaryFolder } from "./testing/run-cli.ts";

/* The handlers and the model that ship, with pictures of this machine. */
const env = {
  HANDLERS_DIR: fileURLToPath(new URL("../handlers", import.meta.url)),
  MODELS_DIR: fileURLToPath(new URL("../models", import.meta.url)),
};
const type = ["run", "sdxl_image_fast", "a red apple", "--seed", "1"];

/** A folder with a blue picture and a mask of its right half. */
async function folderWithPictures(): Promise<string> {
  const folder = await temporaryFolder();
  const blue = { create: { width: 128, height: 128, channels: 3, background: "#2060c0" } } as const;
  await sharp(blue).png().toFile(join(folder, "blue.png"));
  const right = Uint8Array.from({ length: 128 * 128 }, (_, index) => (index % 128 < 64 ? 0 : 255));
  await sharp(right, { raw: { width: 128, height: 128, channels: 1 } })
    .png()
    .toFile(join(folder, "mask.png"));
  return folder;
}

test("run begins with files of this machine", { timeout: 60_000 }, async () => {
  const folder = await folderWithPictures();
  const pictures = ["--reference", "blue.png", "--mask", join(folder, "mask.png"), "--strength", "0.9"];
  const { exitCode, stdout, stderr } = await runCli(folder, [...type, ...pictures, "--json"], env);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  const { assets, metadata } = JSON.parse(stdout);
  expect(metadata).toMatchObject({ reference_path: "img2img", denoise_strength: 0.9, ignored: [] });
  // The left half is the reference's own.
  const pixels = await sharp(assets[0].file).raw().toBuffer();
  expect([...pixels.subarray(0, 3)]).toEqual([0x20, 0x60, 0xc0]);
});

test("a file may stand in any field that takes one", { timeout: 60_000 }, async () => {
  const folder = await folderWithPictures();
  const inputs = ["--input", "reference=@blue.png", "--config", '{"mask_image_url": "@mask.png"}', "--strength", "0.9"];
  const { exitCode, stdout, stderr } = await runCli(folder, [...type, ...inputs, "--json"], env);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  expect(JSON.parse(stdout).metadata).toMatchObject({ reference_path: "img2img", ignored: [] });
});

test("a clip begins with a file of this machine", { timeout: 60_000 }, async () => {
  const folder = await folderWithPictures();
  const clip = ["run", "video_fast", "a red apple", "--seed", "1", "--steps", "2", "--config", '{"frame_num": 5}'];
  const { exitCode, stdout, stderr } = await runCli(
    folder,
    [...clip, "--input", "first_frame=@blue.png", "--reference-strength", "0.6", "--json"],
    env,
  );
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  const reported = { reference_mode: "start", reference_path: "anchor", reference_strength: 0.6, ignored: [] };
  expect(JSON.parse(stdout).metadata).toMatchObject(reported);
});

test("a clip takes no --strength, whose sense is the opposite", async () => {
  const clip = ["run", "video_fast", "a red apple", "--input", "first_frame=@blue.png", "--strength", "0.4"];
  const { exitCode, stderr } = await runCli(await folderWithPictures(), clip, env);
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining("jobs of type video_fast have --reference-strength")]);
});

test("run names a file that is no picture as it was typed", async () => {
  const folder = await folderWithPictures();
  await writeFile(join(folder, "page.html"), "<!doctype html><title>A lake</title>".repeat(9));
  const { exitCode, stdout, stderr } = await runCli(folder, [...type, "--reference", "page.html", "--json"], env);
  expect(exitCode).not.toBe(0);
  expect(JSON.parse(stdout).error).toMatchObject({
    code: "INPUT_INVALID",
    message: expect.stringContaining("The file page.html cannot"),
  });
  expect(stdout + stderr).not.toContain("127.0.0.1");
});

test("enqueue stores its files as uploaded ones, and the job names them", async () => {
  const folder = await folderWithPictures();
  const enqueue = ["enqueue", ...type.slice(1), "--data", "data", "--json"];
  const first = await runCli(folder, [...enqueue, "--user", "ann", "--reference", "blue.png"], env);
  expect({ exitCode: first.exitCode, stderr: first.stderr }).toMatchObject({ exitCode: 0 });
  const shown = await runCli(folder, ["job", JSON.parse(first.stdout).job_id, "--data", "data", "--json"], env);
  const hash = sha256(await readFile(join(folder, "blue.png")));
  expect(JSON.parse(shown.stdout)).toMatchObject({ metadata: { reference_image_url: `input:${hash}` } });
  const stored = join(folder, "data", "files", "inputs", "ann", "inputs", `${hash}.png`);
  expect(await readFile(stored)).toEqual(await readFile(join(folder, "blue.png")));
  const text = await runCli(folder, [...enqueue, "--input", "loras=@blue.png"], env);
  expect(JSON.parse(text.stdout)).toMatchObject({
    error: { code: "INVALID_JOB", message: expect.stringContaining("LoRA") },
  });
});

test.each([
  [["--input", "mask"], "--input is mask: it must be a field and a file"],
  [["--input", "maks=@mask.png"], "--input names maks, which takes no file; those that do:"],
  [["--config", '{"mask_image_url": "@no.png"}'], "config.mask_image_url is @no.png: there is no such file."],
  [["--reference", "missing.png"], "--reference is missing.png: there is no such file, and it is no address."],
  [["--input", "mask=@."], "config.mask_image_url is @.: that is a folder."],
  [["--reference", "."], "--reference is .: that is a folder."],
  [["--input", "mask=@blue.png"], 'config.mask_image_url is "@blue.png": must be given together with'],
  [["--mask", "mask.png"], "--mask is mask.png: give the picture that it is a mask of as --reference"],
  [["--reference", "blue.png", "--strength", "0"], "--strength is 0: must be more than 0"],
  [["--reference", "blue.png", "--reference-strength", "2"], "--reference-strength is 2: must be a number from 0 to 1"],
])("run refuses %j before anything is started", async (options, message) => {
  const { exitCode, stderr } = await runCli(await folderWithPictures(), [...type, ...options], env);
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain(message);
});
