import { expect, test } from "vitest";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { cannyEdges } from "./canny.ts";

const fixtures = readSafetensors(new URL("fixtures/canny.safetensors", import.meta.url));
const count = [...fixtures.keys()].filter((key) => key.endsWith(".edges")).length;

test.each(Array.from({ length: count }, (_, index) => index))("edges of picture %i are those of OpenCV", (index) => {
  const [picture, edges] = [fixtures.get(`${index}.picture`), fixtures.get(`${index}.edges`)];
  if (picture === undefined || edges === undefined) throw new RangeError(`there is no picture ${index}`);
  const [height = 0, width = 0] = picture.dims;
  const made = cannyEdges({ data: Uint8ClampedArray.from(picture.data), width, height });
  expect(Array.from(made.data).filter((_, place) => place % 3 === 0)).toEqual(Array.from(edges.data));
});

test("flat pictures have no edges, and pictures of shapes have some", () => {
  expect(fixtures.get("4.edges")?.data.some((value) => value !== 0)).toBe(false);
  expect(fixtures.get("0.edges")?.data.filter((value) => value === 255).length).toBeGreaterThan(100);
});
