import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { patchJson, tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { modelCheck, readModelFolder } from "./model-folder.ts";
import { ChatPipeline } from "./pipeline.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "chat-model-"));
  cpSync(new URL("fixtures/tiny-llama", import.meta.url).pathname, folder, { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

const load = () => ChatPipeline.load(folder, { executionProvider: "cpu", intraOpThreads: 1 });
const control = { signal: new AbortController().signal };

it("reads the class, the context, the end marks and the files", async () => {
  expect(await readModelFolder(folder)).toMatchObject({
    className: "LlamaForCausalLM",
    contextTokens: 256,
    endIds: [expect.any(Number), expect.any(Number)],
    graphs: [{ file: "onnx/model.onnx", precision: "" }],
  });
  expect(["Qwen2ForCausalLM", "GPT2LMHeadModel", "WanPipeline", "CLIPModel"].map(modelCheck.takes)).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

it.each([
  ["config.json", "config.json"],
  ["tokenizer.json", "the tokenizer is missing"],
  ["onnx/model.onnx", "onnx/model.onnx"],
])("lacks %s", async (gone, named) => {
  rmSync(join(folder, gone));
  await expect(load()).rejects.toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringContaining(named) });
});

it.each([
  ["config.json", { architectures: ["CLIPModel"] }, "MODEL_UNSUITABLE", "the model is a CLIPModel"],
  ["config.json", { architectures: null }, "MODEL_INVALID", '"architectures"'],
  ["config.json", { max_position_embeddings: null }, "MODEL_INVALID", "max_position_embeddings"],
  ["config.json", { vocab_size: "many" }, "MODEL_INVALID", "vocab_size"],
  ["generation_config.json", { eos_token_id: "</s>" }, "MODEL_INVALID", "eos_token_id"],
  ["tokenizer.json", { model: { type: "nothing" } }, "MODEL_INVALID", "the tokenizer cannot be made"],
])("%s with %j", async (file, change, code, message) => {
  patchJson(join(folder, file), change);
  await expect(load()).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
});

it("takes the tokenizer's end mark where no config names one, and does not do without", async () => {
  patchJson(join(folder, "generation_config.json"), { eos_token_id: null });
  patchJson(join(folder, "config.json"), { eos_token_id: null });
  const model = await load();
  await model.dispose();
  patchJson(join(folder, "tokenizer_config.json"), { eos_token: null });
  await expect(load()).rejects.toMatchObject({ code: "MODEL_INVALID", message: expect.stringContaining("eos_token") });
});

it("is a graph without a cache", async () => {
  cpSync(join(tinySdxl, "text_encoder/model.onnx"), join(folder, "onnx/model.onnx"));
  await expect(load()).rejects.toMatchObject({
    code: "MODEL_UNSUITABLE",
    message: expect.stringMatching(
      /has no attention_mask, no past_key_values; .*Export it for text generation with past/,
    ),
  });
});

it("continues texts, and takes no messages, without a template", async () => {
  rmSync(join(folder, "chat_template.jinja"));
  const model = await load();
  const limits = { maxTokens: 3, temperature: 0 };
  expect(await model.generate({ prompt: "The lighthouse", ...limits }, control)).toMatchObject({ tokensGenerated: 3 });
  const messages = [{ role: "user" as const, content: "hello" }];
  await expect(model.generate({ messages, ...limits }, control)).rejects.toMatchObject({ code: "UNSUPPORTED_OPTION" });
  await model.dispose();
});

it("has a template that is none", async () => {
  writeFileSync(join(folder, "chat_template.jinja"), "{% for a in %}");
  await expect(load()).rejects.toMatchObject({
    code: "MODEL_INVALID",
    message: expect.stringContaining("chat_template.jinja: the chat template cannot be read"),
  });
});
