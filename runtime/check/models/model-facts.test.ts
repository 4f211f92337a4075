import { cpSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { classNameOf } from "./class-name.ts";
import { modelFacts, modelMemory } from "./model-facts.ts";

const fixtures = fileURLToPath(new URL("../../../pipelines/chat/fixtures", import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "model-facts-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

it("tells a language model by its config, and what each of its precisions takes", async () => {
  cpSync(join(fixtures, "tiny-llama-half"), folder, { recursive: true });
  renameSync(join(folder, "onnx/model.onnx"), join(folder, "onnx/model_fp16.onnx"));
  cpSync(join(fixtures, "tiny-llama/onnx/model.onnx"), join(folder, "onnx/model.onnx"));
  expect(await classNameOf(folder)).toBe("LlamaForCausalLM");
  const facts = await modelFacts(folder);
  expect(facts.kind).toMatchObject({ className: "LlamaForCausalLM", worker: "chat", loadsOne: true });
  const weights = Object.fromEntries(facts.parts.map(({ name, weightBytes }) => [name, weightBytes]));
  expect(weights).toMatchObject({
    "onnx/model.onnx": { float32: expect.any(Number) },
    "onnx/model_fp16.onnx": { float16: expect.any(Number) },
  });
  // One of them is loaded: the larger one at most.
  expect(modelMemory(facts, "gpu")).toBe(
    Object.values(weights["onnx/model.onnx"] ?? {}).reduce((sum, bytes) => sum + bytes, 0),
  );
});

it("knows nothing of a folder that says nothing", async () => {
  expect(await classNameOf(folder)).toBeNull();
  expect((await modelFacts(folder)).kind).toBeNull();
});
