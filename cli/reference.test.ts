import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { expect, test } from "vitest";
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

test.each([
  [["--reference", "missing.png"], "--reference is missing.png: there is no such file, and it is no address."],
  [["--mask", "mask.png"], "--mask is mask.png: give the picture that it is a mask of as --reference"],
  [["--reference", "blue.png", "--strength", "0"], "--strength is 0: must be more than 0"],
])("run refuses %j before anything is started", async (options, message) => {
  const { exitCode, stderr } = await runCli(await folderWithPictures(), [...type, ...options], env);
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain(message);
});
