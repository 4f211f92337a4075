import { crc32 } from "node:zlib";
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { addPngMetadata } from "./png-chunks.ts";

const plainPng = () =>
  sharp({ create: { width: 3, height: 2, channels: 3, background: "#123456" } })
    .png()
    .toBuffer();

/** Chunks of a PNG in order, every checksum verified. */
function readChunks(png: Uint8Array): { type: string; data: Buffer }[] {
  const bytes = Buffer.from(png);
  const chunks = [];
  for (let offset = 8; offset < bytes.length; ) {
    const length = bytes.readUInt32BE(offset);
    const data = bytes.subarray(offset + 8, offset + 8 + length);
    expect(bytes.readUInt32BE(offset + 8 + length)).toBe(crc32(bytes.subarray(offset + 4, offset + 8 + length)));
    chunks.push({ type: bytes.toString("latin1", offset + 4, offset + 8), data });
    offset += 12 + length;
  }
  return chunks;
}

function readText({ type, data }: { type: string; data: Buffer }): [string, string] {
  const end = data.indexOf(0);
  const keyword = data.toString("latin1", 0, end);
  return type === "tEXt" ? [keyword, data.toString("latin1", end + 1)] : [keyword, data.toString("utf8", end + 5)];
}

describe("addPngMetadata", () => {
  it("writes the sRGB mark and Latin-1 texts as tEXt, before the pixels", async () => {
    const chunks = readChunks(addPngMetadata(await plainPng(), { parameters: "café\nSteps: 15" }));
    expect(chunks.map(({ type }) => type).slice(0, 3)).toEqual(["IHDR", "sRGB", "tEXt"]);
    expect(chunks.at(-1)?.type).toBe("IEND");
    expect(chunks.slice(2, 3).map(readText)).toEqual([["parameters", "café\nSteps: 15"]]);
  });

  it("leaves a picture that decodes to the same pixels", async () => {
    const png = await plainPng();
    const marked = addPngMetadata(png, { parameters: "日本" });
    expect(await sharp(marked).raw().toBuffer()).toEqual(await sharp(png).raw().toBuffer());
  });

  it("keeps any text but its zero bytes", async () => {
    const png = await plainPng();
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const chunk = readChunks(addPngMetadata(png, { note: text }))[2] ?? { type: "", data: Buffer.of() };
        expect(readText(chunk)).toEqual(["note", text.replaceAll("\0", "")]);
      }),
    );
  });

  it("refuses what is no PNG", () => {
    expect(() => addPngMetadata(new Uint8Array(40), {})).toThrow("no PNG");
  });
});
