import { describe, expect, it } from "vitest";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { fitPicture } from "./fit-picture.ts";
import { layOver, maskOf, maskOfLatents } from "./mask.ts";
import { resizePicture } from "./resample.ts";
import type { RgbImage } from "./rgb.ts";

const reference = readSafetensors(new URL("fixtures/fitted.safetensors", import.meta.url));

function picture(name: string): RgbImage {
  const { data, dims } = reference.get(name) ?? { data: [], dims: [] };
  return { data: Uint8ClampedArray.from(data), width: dims[1] ?? 0, height: dims[0] ?? 0 };
}

/** `width` × `height` of one value. */
function plain(width: number, height: number, value: number): RgbImage {
  return { data: new Uint8ClampedArray(width * height * 3).fill(value), width, height };
}

describe.each(Array.from({ length: reference.size / 3 }, (_, index) => index))("reference case %i", (index) => {
  it("covers as diffusers does with Pillow, to the bit", async () => {
    const expected = picture(`${index}.fitted`);
    const fitted = await fitPicture(picture(`${index}.picture`), expected.width, expected.height, "cover");
    expect(fitted).toEqual(expected);
  });

  it("makes the mask that diffusers makes", () => {
    expect([...maskOf(picture(`${index}.fitted`)).data]).toEqual([...(reference.get(`${index}.mask`)?.data ?? [])]);
  });
});

/** Each pixel of its own colour. */
function noise(width: number, height: number): RgbImage {
  const data = Uint8ClampedArray.from({ length: width * height * 3 }, (_, index) => (index * 7919 + 31) % 251);
  return { data, width, height };
}

it.each([
  [[40, 30], [90, 60], { left: 11, top: 7, width: 33, height: 21 }],
  [[90, 60], [40, 30], { left: 20, top: 0, width: 20, height: 4 }],
  [[40, 30], [40, 60], { left: 3, top: 40, width: 10, height: 20 }],
  [[40, 30], [90, 30], { left: 0, top: 29, width: 90, height: 1 }],
  [[40, 30], [40, 30], { left: 5, top: 6, width: 7, height: 8 }],
] as const)(
  "a part of %j resized to %j is what it is in the whole: %j",
  ([width, height], [toWidth, toHeight], part) => {
    const whole = resizePicture(noise(width, height), toWidth, toHeight, "lanczos");
    const made = resizePicture(noise(width, height), toWidth, toHeight, "lanczos", part);
    expect([made.width, made.height]).toEqual([part.width, part.height]);
    for (let row = 0; row < part.height; row++) {
      const start = ((part.top + row) * toWidth + part.left) * 3;
      const length = part.width * 3;
      expect(made.data.subarray(row * length, (row + 1) * length)).toEqual(whole.data.subarray(start, start + length));
    }
  },
);

it.each([
  [1_000_000, 1],
  [1, 1_000_000],
] as const)("covers with the middle of a picture of %i × %i without making the rest of it", async (width, height) => {
  // The whole would have 64,000,000 × 64 pixels: 12 GB.
  const long = plain(width, height, 100);
  long.data.fill(200, (width * height * 3) / 2);
  const { data } = await fitPicture(long, 64, 64, "cover");
  expect(data).toHaveLength(64 * 64 * 3);
  // The two pixels in its middle fill half of the result each.
  expect([data[0], data.at(-1)]).toEqual([100, 200]);
});

it("contains the whole picture, on a soft copy of it that fills the edges", async () => {
  const wide = plain(128, 32, 200);
  for (let row = 0; row < 32; row++) wide.data.set(new Uint8ClampedArray(8 * 3).fill(10), row * 128 * 3);
  const { data, width, height } = await fitPicture(wide, 64, 64, "contain");
  expect([width, height]).toEqual([64, 64]);
  const at = (row: number, column: number) => data[(row * width + column) * 3] ?? 0;
  // The picture's 64 × 16 pixels are rows 24 to 39, with its dark end on the left.
  expect(at(32, 0)).toBeLessThan(20);
  expect(at(32, 63)).toBe(200);
  // Above it is the middle of the picture, which has no dark end.
  expect(at(2, 0)).toBeGreaterThan(190);
});

it("keeps what is outside of a mask to the bit, and goes over into what is drawn at its edge", () => {
  const mask = {
    data: Uint8Array.from({ length: 64 * 64 }, (_, index) => (index % 64 >= 32 ? 1 : 0)),
    width: 64,
    height: 64,
  };
  const { data } = layOver(plain(64, 64, 100), plain(64, 64, 200), mask, 8);
  const row = Array.from({ length: 64 }, (_, column) => data[(20 * 64 + column) * 3] ?? 0);
  expect(new Set(row.slice(0, 24))).toEqual(new Set([100]));
  expect(new Set(row.slice(32))).toEqual(new Set([200]));
  const edge = row.slice(24, 32);
  expect(edge).toEqual(edge.toSorted((a, b) => a - b));
  expect(new Set(edge).size).toBe(8);
});

it("takes the nearest pixel of a mask for each latent", () => {
  const data = Uint8Array.of(1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1);
  expect([...maskOfLatents({ data, width: 4, height: 4 }, 2)]).toEqual([1, 0, 0, 0]);
});
