import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { chooseGraph, graphFilesOf } from "./graph-files.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "graphs-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(sizes: Readonly<Record<string, number>>): void {
  for (const [name, bytes] of Object.entries(sizes)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), Buffer.alloc(bytes));
  }
}

it("finds each precision with the weights beside it", async () => {
  write({
    "onnx/model.onnx": 10,
    "onnx/model.onnx_data": 100,
    "onnx/model.onnx_data_1": 1000,
    "onnx/model_q4f16.onnx": 20,
    "onnx/model_fp16.onnx.data": 5,
    "onnx/decoder.onnx": 7,
    "model.onnx": 1,
  });
  expect((await graphFilesOf(folder)).sort((one, other) => one.bytes - other.bytes)).toEqual([
    { file: "onnx/model_q4f16.onnx", precision: "q4f16", bytes: 20 },
    { file: "onnx/model.onnx", precision: "", bytes: 1110 },
  ]);
});

it("takes the file beside the configs, as optimum writes it", async () => {
  write({ "model.onnx": 3, "model.onnx_data": 4 });
  expect(await graphFilesOf(folder)).toEqual([{ file: "model.onnx", precision: "", bytes: 7 }]);
});

it("is not content with a folder without one", async () => {
  await expect(graphFilesOf(folder)).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
    message: expect.stringContaining("onnx/model.onnx"),
  });
});

it.each([
  [10_000, undefined, "onnx/model.onnx"],
  [10_000, 900, "onnx/model_int8.onnx"],
  [200, undefined, "onnx/model_q4.onnx"],
])("chooses the most exact that has room: %i bytes free, limit %s", async (free, maxWeightBytes, file) => {
  write({ "onnx/model.onnx": 1000, "onnx/model_int8.onnx": 300, "onnx/model_q4.onnx": 150 });
  const graphs = await graphFilesOf(folder);
  const room = { maxWeightBytes, freeBytes: async () => free };
  expect(await chooseGraph(folder, graphs, "cpu", room)).toMatchObject({ file });
});

it("says what the smallest needs when none has room", async () => {
  write({ "onnx/model.onnx": 1000, "onnx/model_q4.onnx": 150 });
  const chosen = chooseGraph(folder, await graphFilesOf(folder), "cpu", { freeBytes: async () => 100 });
  await expect(chosen).rejects.toMatchObject({
    code: "MODEL_TOO_LARGE",
    message: expect.stringContaining("model_q4.onnx: its weights take"),
  });
});
