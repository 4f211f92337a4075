import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { sniff } from "./sniff.ts";

const dot = sharp({ create: { width: 8, height: 8, channels: 3, background: "green" } });

describe("pictures are known by their first bytes", () => {
  it.each(["png", "jpeg", "webp", "gif"] as const)("%s", async (format) => {
    expect(sniff(await dot.clone().toFormat(format).toBuffer())).toBe(`image/${format}`);
  });
});

function isoFile(brand: string): Buffer {
  return Buffer.concat([Buffer.from([0, 0, 0, 32]), Buffer.from(`ftyp${brand}`, "latin1"), Buffer.alloc(20)]);
}

// As ffmpeg begins its files: an EBML header with a length of eight bytes, then the document type.
const ebmlHead = "1a45dfa301000000000000 1f428681014 2f7810142f2810442f38108".replaceAll(" ", "");
const ebml = (type: string) =>
  Buffer.concat([Buffer.from(`${ebmlHead}4282${(0x80 + type.length).toString(16)}`, "hex"), Buffer.from(type)]);

describe("videos", () => {
  it.each([
    ["isom", "video/mp4"],
    ["mp42", "video/mp4"],
    ["qt  ", "video/quicktime"],
    ["avif", null],
    ["heic", null],
    ["mif1", null],
    ["\0\0\0\0", null],
  ])("of the brand %s are %s", (brand, mimeType) => {
    expect(sniff(isoFile(brand))).toBe(mimeType);
  });

  it("in EBML are WebM, not Matroska", () => {
    expect(sniff(ebml("webm"))).toBe("video/webm");
    expect(sniff(ebml("matroska"))).toBeNull();
  });
});

it.each([
  ["a page", "<!doctype html><img src=x>"],
  ["a drawing with scripts", '<svg xmlns="http://www.w3.org/2000/svg">'],
  ["a playlist", "#EXTM3U\nhttp://127.0.0.1/"],
  ["a program", "\x7fELF\x02\x01\x01"],
  ["an archive", "PK\x03\x04"],
  ["a sound", "RIFF\0\0\0\0WAVEfmt "],
  ["nothing", ""],
  ["a beginning of a picture's mark", "\x89PN"],
])("%s is none", (_what, text) => {
  expect(sniff(Buffer.from(text, "latin1"))).toBeNull();
});
