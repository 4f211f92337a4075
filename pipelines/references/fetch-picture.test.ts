import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp, { type Create } from "sharp";
import { afterAll, expect, it } from "vitest";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { fetchFitted, fetchPicture } from "./fetch-picture.ts";

const folder = mkdtempSync(join(tmpdir(), "pictures-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A host whose only input is a picture of one colour. */
async function hostWith(create: Create) {
  const file = join(folder, `${create.width}-${create.height}-${create.channels}.png`);
  await sharp({ create }).png().toFile(file);
  return { input: async () => ({ file, mimeType: "image/png" }) };
}

const size = { width: 32, height: 48 };

it("makes a size of one pixel", async () => {
  const host = await hostWith({ width: 1, height: 1, channels: 3, background: "#204060" });
  for (const reference_fit of ["cover", "contain"] as const) {
    const image = await fetchFitted("a", { ...size, reference_fit }, host);
    expect([image.width, image.height]).toEqual([32, 48]);
    const colour = [0x20, 0x40, 0x60];
    expect(
      maxDifference(
        image.data,
        [...image.data].map((_, index) => colour[index % 3] ?? 0),
      ),
      // libvips blurs the edges of `contain` in whole numbers.
    ).toBeLessThanOrEqual(2);
  }
});

it("lays what is transparent on the colour that is named", async () => {
  const host = await hostWith({ width: 4, height: 4, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } });
  const colours = [undefined, "#80c0ff", "gray", "black"];
  const pixels = await Promise.all(
    colours.map(async (background) => (await fetchPicture("a", host, { background })).data.slice(0, 3)),
  );
  expect(pixels.map((data) => [...data])).toEqual([
    [255, 255, 255],
    [128, 192, 255],
    [128, 128, 128],
    [0, 0, 0],
  ]);
});

it("refuses 20,000 × 10 pixels, by what the picture is in the job", async () => {
  const host = await hostWith({ width: 20_000, height: 10, channels: 3, background: "red" });
  await expect(fetchFitted("a", size, host, { what: "first frame" })).rejects.toMatchObject({
    code: "INPUT_INVALID",
    message:
      "The first frame cannot be used: it has 20000 × 10 pixels. Send one whose longer side is at most 20 times the other.",
  });
});
