import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InferenceSession } from "onnxruntime-node";
import { expect, onTestFinished, test } from "vitest";
import { readOnnxFile } from "./onnx-file.ts";
import { onnxBytes, type WeightSpec } from "./testing/onnx-bytes.ts";

const realFile = fileURLToPath(
  new URL("../../../pipelines/sdxl/fixtures/random-sdxl/unet/model.onnx", import.meta.url),
);

async function fileOf(content: Uint8Array | string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-onnx-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "model.onnx");
  await writeFile(path, content);
  return path;
}

const whole = onnxBytes([{ name: "weights", count: 100 }]);

test("a real file is whole", async () => {
  expect(await readOnnxFile(realFile)).toEqual({
    problem: null,
    external: new Map(),
    weightBytes: new Map([
      ["other", 200],
      ["float32", 1_342_000],
    ]),
  });
});

test.each([
  ["nothing", "", "is empty"],
  ["a pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", /git lfs pull/],
  ["no graph", Uint8Array.of(0x08, 8), "is no ONNX file"],
  ["a graph that is cut off", Uint8Array.of(0x08, 8, 0x3a, 100, 1, 2), "is cut off: download it again"],
  ["a tag that does not end", Uint8Array.of(0x08, 8, 0xff), /is damaged/],
  ["a download whose space was reserved, and nothing else", new Uint8Array(500), /is damaged/],
  ["weights that end in mid-file", whole.subarray(0, 200), "is cut off: download it again"],
  [
    "weights of another size than their shape",
    onnxBytes([{ name: "w", raw: new Uint8Array(8) }]),
    /"w" have 8 bytes.*16/,
  ],
])("%s", async (_what, content, problem) => {
  const path = await fileOf(content);
  expect((await readOnnxFile(path)).problem).toMatch(problem);
  // What is refused here, ONNX Runtime refuses too.
  await expect(InferenceSession.create(path, { logSeverityLevel: 4 })).rejects.toThrow();
});

test.each([{}, { constants: true }, { inSubgraph: true }])(
  "weights in other files are found wherever the graph has them, up to the last byte: %o",
  async (place) => {
    const weights: WeightSpec[] = [
      { name: "a", external: { location: "model.onnx_data", offset: 4096, length: 16 } },
      { name: "b", external: { location: "model.onnx_data", offset: 0, length: 16 } },
      // Without a length, the shape says it.
      { name: "c", count: 25, external: { location: "more.bin", offset: 8 } },
    ];
    const { problem, external } = await readOnnxFile(await fileOf(onnxBytes(weights, place)));
    expect(problem).toBeNull();
    expect(Object.fromEntries(external)).toEqual({
      "model.onnx_data": { endByte: 4112, tensor: "a" },
      "more.bin": { endByte: 108, tensor: "c" },
    });
  },
);

test.each([
  ["a length that is not the shape's", { location: "d", length: 8 }, /"w" have 8 bytes where 16 belong/],
  ["no location", { location: "" }, /does not say where/],
  ["an offset that is no number", { location: "d", offset: "-4" }, /does not say where/],
])("an entry with %s is damage", async (_what, external, problem) => {
  expect((await readOnnxFile(await fileOf(onnxBytes([{ name: "w", external }])))).problem).toMatch(problem);
});

test("any cut through a file is seen, and none is mistaken for another fault of the program", async () => {
  const bytes = onnxBytes(
    [
      { name: "a", count: 8 },
      { name: "b", external: { location: "d" } },
    ],
    { constants: true },
  );
  for (let length = 1; length < bytes.length; length++) {
    const { problem } = await readOnnxFile(await fileOf(bytes.subarray(0, length)));
    // The last two fields, behind the graph, may be missing whole.
    if (problem === null) expect(bytes.length - length).toBeLessThanOrEqual(4);
  }
});
