import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { checkOnnxFile, externalDataFiles } from "./onnx-file.ts";

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

test("a real file is whole", async () => {
  expect(await checkOnnxFile(realFile)).toBeNull();
  expect(await externalDataFiles(realFile)).toEqual([]);
});

test.each([
  ["nothing", "", "is empty"],
  [
    "a pointer of Git LFS",
    "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "is no ONNX file, or is damaged",
  ],
  ["no graph", Uint8Array.of(0x08, 8), "is no ONNX file"],
  ["a graph that is cut off", Uint8Array.of(0x08, 8, 0x3a, 100, 1, 2), "is cut off: download it again"],
  ["a tag that does not end", Uint8Array.of(0x08, 8, 0xff), "is no ONNX file, or is damaged"],
])("%s", async (_what, content, problem) => {
  expect(await checkOnnxFile(await fileOf(content))).toBe(problem);
});

test("files of external data are found, each once", async () => {
  const entry = (name: string) =>
    Buffer.concat([
      Buffer.from([0x0a, 8]),
      Buffer.from("location"),
      Buffer.from([0x12, name.length]),
      Buffer.from(name),
    ]);
  const path = await fileOf(Buffer.concat([entry("model.onnx_data"), entry("more.bin"), entry("model.onnx_data")]));
  expect(await externalDataFiles(path)).toEqual(["model.onnx_data", "more.bin"]);
});
