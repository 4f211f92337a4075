import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { TorchGenerator } from "#pipelines/core/random/torch-generator.ts";
import { encodeImage, encodeSmallWebp, encodeThumbnail } from "./encode.ts";
import type { RgbImage } from "./rgb.ts";

function noise(width: number, height: number): RgbImage {
  const values = new TorchGenerator(1).randn(width * height * 3);
  return { data: Uint8ClampedArray.from(values, (value) => 128 + 60 * value), width, height };
}

/** The Exif of a file as its parts, read as the specification has them. */
async function readExif(file: Uint8Array): Promise<{ readonly comment: string; readonly note: string | undefined }> {
  const { exif } = await sharp(file).metadata();
  if (exif === undefined) throw new Error("there is no Exif");
  const tiff = exif.subarray(exif.toString("latin1", 0, 4) === "Exif" ? 6 : 0);
  expect(tiff.toString("latin1", 0, 4)).toBe("MM\0*");
  const entries = (at: number) =>
    Array.from({ length: tiff.readUInt16BE(at) }, (_, index) => {
      const entry = at + 2 + index * 12;
      const [tag, count] = [tiff.readUInt16BE(entry), tiff.readUInt32BE(entry + 4)];
      const offset = tiff.readUInt32BE(entry + 8);
      return { tag, offset, value: tiff.subarray(offset, offset + count) };
    });
  const second = entries(tiff.readUInt32BE(4)).find(({ tag }) => tag === 0x8769)?.offset ?? 0;
  const find = (wanted: number) => entries(second).find(({ tag }) => tag === wanted)?.value;
  const comment = Buffer.from(find(0x9286) ?? []);
  expect(comment.toString("latin1", 0, 8)).toBe("UNICODE\0");
  return { comment: Buffer.from(comment.subarray(8)).swap16().toString("utf16le"), note: find(0x927c)?.toString() };
}

describe("encodeImage", () => {
  const texts = { parameters: "ein Leuchtturm, 灯台 🌊\nSteps: 4", ourvidz: '{"prompt":"灯台"}' };

  it.each([
    ["jpeg", 41, 23],
    ["webp", 41, 23],
    ["jpeg", 64, 64],
    ["webp", 64, 64],
  ] as const)("writes %s of %i×%i with its texts, which another reader finds", async (format, width, height) => {
    const image = noise(width, height);
    const file = await encodeImage(image, texts, format, 95);
    expect(await sharp(file).metadata()).toMatchObject({ format, width, height, channels: 3, space: "srgb" });
    expect(await readExif(file)).toEqual({ comment: texts.parameters, note: texts.ourvidz });
    // Metadata changes no pixel: the picture is that of sharp alone, which has none.
    const plain = sharp(image.data, { raw: { width, height, channels: 3 } });
    const alone = await (format === "jpeg"
      ? plain.jpeg({ quality: 95, chromaSubsampling: "4:4:4" })
      : plain.webp({ quality: 95 })
    ).toBuffer();
    const pixels = (bytes: Uint8Array) => sharp(bytes).raw().toBuffer();
    expect(Buffer.compare(await pixels(file), await pixels(alone))).toBe(0);
  });

  it.each(["jpeg", "webp"] as const)("makes a smaller %s of a lower quality", async (format) => {
    const [fine, coarse] = [
      await encodeImage(noise(128, 128), texts, format, 95),
      await encodeImage(noise(128, 128), texts, format, 30),
    ];
    expect(coarse.length).toBeLessThan(fine.length / 2);
  });

  it("leaves out what a JPEG has no room for: first the note, then the comment's end", async () => {
    const image = noise(16, 16);
    const long = "灯".repeat(20_000);
    const withoutNote = await readExif(await encodeImage(image, { parameters: long, ourvidz: long }, "jpeg", 90));
    expect(withoutNote).toEqual({ comment: long, note: undefined });
    const cut = await readExif(await encodeImage(image, { parameters: "🌊".repeat(20_000), ourvidz: "" }, "jpeg", 90));
    expect(cut.comment).toBe("🌊".repeat(cut.comment.length / 2));
    expect(cut.comment.length).toBeGreaterThan(32_000);
    const whole = await readExif(await encodeImage(image, { parameters: long, ourvidz: long }, "webp", 90));
    expect(whole).toEqual({ comment: long, note: long });
  });

  it("keeps every pixel in a PNG, in 8 bits and three channels", async () => {
    const image = noise(40, 24);
    const png = sharp(await encodeImage(image, texts, "png", 1));
    expect(await png.metadata()).toMatchObject({ width: 40, height: 24, channels: 3, depth: "uchar", space: "srgb" });
    expect([...(await png.raw().toBuffer())]).toEqual([...image.data]);
  });
});

describe("encodeThumbnail", () => {
  it.each([
    [512, 128, 256, 64],
    [128, 512, 64, 256],
    [64, 32, 64, 32],
  ])("fits %i×%i into %i×%i", async (width, height, thumbnailWidth, thumbnailHeight) => {
    const metadata = await sharp(await encodeThumbnail(noise(width, height))).metadata();
    expect(metadata).toMatchObject({ format: "webp", width: thumbnailWidth, height: thumbnailHeight });
  });
});

describe("encodeSmallWebp", () => {
  it("lowers the quality until the picture fits, and gives up when it cannot", async () => {
    const image = noise(256, 256);
    const [large, small] = [await encodeSmallWebp(image, 1e6), await encodeSmallWebp(image, 40_000)];
    expect(large?.length).toBeGreaterThan(40_000);
    expect(small?.length).toBeLessThanOrEqual(40_000);
    expect(await encodeSmallWebp(image, 100)).toBeUndefined();
  });
});
