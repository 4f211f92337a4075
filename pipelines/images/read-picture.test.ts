import sharp from "sharp";
import { expect, it } from "vitest";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { maxPicturePixels, readPicture } from "./read-picture.ts";

const [width, height] = [12, 8];
/** Saturated colours on the left, greys on the right. */
const scene = Uint8Array.from({ length: width * height * 3 }, (_, index) => {
  const [pixel, channel] = [Math.floor(index / 3), index % 3];
  const [column, row] = [pixel % width, Math.floor(pixel / width)];
  return column < 6 ? (channel === row % 3 ? 230 : 20) : 30 + row * 25;
});
const open = () => sharp(scene, { raw: { width, height, channels: 3 } });

/** The pixel's three values. */
async function pixelOf(file: Uint8Array, column: number, row: number): Promise<number[]> {
  const image = await readPicture(file);
  const start = (row * image.width + column) * 3;
  return [...image.data.subarray(start, start + 3)];
}

it("reads PNG and lossless WebP to the bit", async () => {
  for (const file of [await open().png().toBuffer(), await open().webp({ lossless: true }).toBuffer()]) {
    const image = await readPicture(file);
    expect([image.width, image.height]).toEqual([width, height]);
    expect(maxDifference(image.data, scene)).toBe(0);
  }
});

it.each([1, 2, 3, 4, 5, 6, 7, 8])("turns a picture as its EXIF orientation %i says", async (orientation) => {
  const file = await open().withMetadata({ orientation }).png().toBuffer();
  const image = await readPicture(file);
  // Orientations from 5 on exchange rows and columns. The top left pixel comes from this corner of the file:
  const corner = { 1: [0, 0], 2: [1, 0], 3: [1, 1], 4: [0, 1], 5: [0, 0], 6: [0, 1], 7: [1, 1], 8: [1, 0] }[
    orientation
  ];
  expect([image.width, image.height]).toEqual(orientation < 5 ? [width, height] : [height, width]);
  const [right = 0, bottom = 0] = corner ?? [];
  const source = (bottom * (height - 1) * width + right * (width - 1)) * 3;
  expect([...image.data.subarray(0, 3)]).toEqual([...scene.subarray(source, source + 3)]);
});

it("brings another colour space to sRGB by its profile", async () => {
  const file = await open().withIccProfile("p3").png().toBuffer();
  const stored = await sharp(file, { ignoreIcc: true }).raw().toBuffer();
  expect(maxDifference(stored, scene)).toBeGreaterThan(20);
  expect(maxDifference((await readPicture(file)).data, scene)).toBeLessThanOrEqual(2);
});

it("reads CMYK as the colours that it prints", async () => {
  const file = await open().toColourspace("cmyk").jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).toBuffer();
  expect((await sharp(file).metadata()).space).toBe("cmyk");
  const [red = 0, green = 0, blue = 0] = await pixelOf(file, 2, 0);
  expect(red - Math.max(green, blue)).toBeGreaterThan(100);
  const grey = await pixelOf(file, 10, 4);
  expect(Math.max(...grey) - Math.min(...grey)).toBeLessThan(12);
});

it("reads 16 bits, grey, and palettes as 8-bit RGB", async () => {
  const grey16 = await sharp(Uint16Array.of(0, 0x8080, 0xffff), { raw: { width: 3, height: 1, channels: 1 } })
    .toColourspace("grey16")
    .png()
    .toBuffer();
  expect((await sharp(grey16).metadata()).depth).toBe("ushort");
  expect([...(await readPicture(grey16)).data]).toEqual([0, 0, 0, 128, 128, 128, 255, 255, 255]);

  const rgb16 = await open().toColourspace("rgb16").png().toBuffer();
  expect((await sharp(rgb16).metadata()).depth).toBe("ushort");
  expect(maxDifference((await readPicture(rgb16)).data, scene)).toBeLessThanOrEqual(1);

  const palette = await open().png({ palette: true, colours: 64, dither: 0 }).toBuffer();
  expect(maxDifference((await readPicture(palette)).data, scene)).toBeLessThanOrEqual(8);
});

it("lays transparent parts on white, or on the colour that is named", async () => {
  const clear = { r: 10, g: 20, b: 30, alpha: 0 };
  const file = await sharp({ create: { width: 2, height: 1, channels: 4, background: clear } })
    .png()
    .toBuffer();
  expect([...(await readPicture(file)).data]).toEqual([255, 255, 255, 255, 255, 255]);
  expect([...(await readPicture(file, { background: "black" })).data]).toEqual([0, 0, 0, 0, 0, 0]);
});

it.each(["gif", "webp"] as const)("takes the first frame of an animated %s", async (format) => {
  const frames = Uint8Array.from({ length: 16 * 16 * 3 * 3 }, (_, index) => (index < 16 * 16 * 3 ? 240 : 20));
  const file = await sharp(frames, { raw: { width: 16, height: 48, channels: 3, pageHeight: 16 } })
    .toFormat(format, { loop: 0 })
    .toBuffer();
  expect((await sharp(file, { animated: true }).metadata()).pages).toBe(2);
  const image = await readPicture(file);
  expect([image.width, image.height]).toEqual([16, 16]);
  expect(Math.min(...image.data)).toBeGreaterThan(230);
});

it.each([
  ["a PDF", Buffer.from("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF")],
  [
    "an SVG",
    Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>'),
  ],
  ["a text", Buffer.from("a lighthouse at dawn")],
])("refuses %s in a sentence", async (_what, file) => {
  await expect(readPicture(file)).rejects.toMatchObject({
    code: "INPUT_INVALID",
    message: expect.stringMatching(/^The reference picture cannot be used: .*Send a PNG, JPEG, WebP or GIF\.$/),
  });
});

it("says what the picture is in the job", async () => {
  await expect(readPicture(Buffer.from("a text"), { what: "mask" })).rejects.toMatchObject({
    message: expect.stringMatching(/^The mask cannot be used: /),
  });
});

it("refuses a picture that was cut off", async () => {
  const whole = await open().png().toBuffer();
  await expect(readPicture(whole.subarray(0, whole.length - 60))).rejects.toMatchObject({ code: "INPUT_INVALID" });
});

it("refuses more pixels than are read by the header alone", async () => {
  const side = Math.ceil(Math.sqrt(60_000_000));
  const bomb = await sharp({
    create: { width: side, height: side, channels: 3, background: "white" },
    limitInputPixels: false,
  })
    .png({ compressionLevel: 1 })
    .toBuffer();
  expect(side * side).toBeGreaterThan(maxPicturePixels);
  const before = process.memoryUsage().rss;
  await expect(readPicture(bomb)).rejects.toMatchObject({
    code: "INPUT_TOO_LARGE",
    message: `The reference picture has ${side} × ${side} pixels; at most 50 million are read. Send a smaller one.`,
  });
  expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
});

it("refuses a picture that is all length", async () => {
  const black = (long: number, short: number) =>
    sharp({ create: { width: short, height: long, channels: 3, background: "black" } })
      .png()
      .toBuffer();
  await expect(readPicture(await black(401, 20))).rejects.toMatchObject({
    code: "INPUT_INVALID",
    message: expect.stringContaining("it has 20 × 401 pixels"),
  });
  expect(await readPicture(await black(400, 20))).toMatchObject({ width: 20, height: 400 });
});
