import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { FakeHub } from "#test/support/hub.ts";
import { otherChatFiles, smallChat } from "#test/support/hub-repository.ts";
import { type PullOptions, type PullPlan, pullModel } from "./pull-model.ts";
import { readRecord } from "./pulled-record.ts";
import { wantedModel } from "./repository.ts";
import { verifyFile } from "./verify-model.ts";

const repo = "somebody/small-chat";
const configs = [
  "chat_template.jinja",
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
];
const fp16 = ["onnx/model_fp16.onnx", "onnx/model_fp16.onnx_data", "onnx/model_fp16.onnx_data_1"];
const gpu = { kind: "gpu", roomBytes: 1e9 } as const;
const cpu = { kind: "cpu", roomBytes: 1e9 } as const;

let models: string;
let hub: FakeHub;
let files: Record<string, Uint8Array>;

beforeEach(async () => {
  models = await mkdtemp(join(tmpdir(), "ourvidz-pull-"));
  files = await smallChat();
  hub = await FakeHub.start({ pageSize: 7 });
  hub.put(repo, { files: { ...files, ...otherChatFiles() } });
});
afterEach(async () => {
  await hub.stop();
  await rm(models, { recursive: true, force: true });
});

function pull(address = repo, options: Partial<PullOptions> = {}) {
  return pullModel({
    hub: { endpoint: hub.url, token: undefined },
    modelsFolder: models,
    wanted: wantedModel(address, "chat"),
    need: "current",
    replace: false,
    device: cpu,
    signal: AbortSignal.timeout(60_000),
    limits: { idleMs: 10_000, tries: 2, retryBaseSeconds: 0.01, retryMaxSeconds: 0.05 },
    ...options,
  });
}

async function pulled(): Promise<string[]> {
  const entries = await readdir(join(models, "chat"), { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => entry.isFile() && entry.name !== ".pulled.json");
  return found.map(({ parentPath, name }) => join(parentPath, name).slice(join(models, "chat").length + 1)).sort();
}

it.each([
  ["a CPU", cpu, "", ["onnx/model.onnx"], "fp32"],
  ["a GPU", gpu, "", fp16, "fp16"],
  ["a GPU with little memory", { ...gpu, roomBytes: 400_000 }, "", ["onnx/model.onnx"], "fp32"],
  ["a CPU with little memory", { ...cpu, roomBytes: 20_000 }, "", ["onnx/model_q4.onnx"], "q4"],
  ["a CPU with none", { ...cpu, roomBytes: 0 }, "", ["onnx/model_q4.onnx"], "q4"],
  ["a CPU", cpu, ":fp16", fp16, "fp16"],
  ["a GPU", gpu, "@main:fp32", ["onnx/model.onnx"], "fp32"],
] as const)("fetches one precision for %s, and the small files", async (_, device, suffix, graph, precision) => {
  const plans: PullPlan[] = [];
  const { record } = await pull(`${repo}${suffix}`, { device, onPlan: (plan) => plans.push(plan) });
  expect(await pulled()).toEqual([...configs, ...graph].sort());
  expect(record).toMatchObject({ repo, precision });
  expect(plans).toMatchObject([{ precision, totalBytes: sizeOf([...configs, ...graph]) }]);
  expect(await readRecord(join(models, "chat"))).toEqual(record);
  const signal = AbortSignal.timeout(60_000);
  const problems = record.files.map((file) => verifyFile(join(models, "chat"), file, signal));
  expect(await Promise.all(problems)).toEqual(record.files.map(() => null));
});

const sizeOf = (paths: readonly string[]) => paths.reduce((sum, path) => sum + (files[path]?.byteLength ?? 0), 0);

it("takes files beside the configs where there is no folder for them", async () => {
  const { "onnx/model.onnx": graph = Buffer.of() } = files;
  const small = Object.fromEntries(configs.map((path) => [path, files[path] ?? Buffer.of()]));
  hub.put(repo, { files: { ...small, "model.onnx": graph } });
  await pull();
  expect(await pulled()).toEqual([...configs, "model.onnx"].sort());
});

it("puts another precision in the place of the one that is there only when that is wanted", async () => {
  await pull(`${repo}:q4`);
  hub.requests.length = 0;
  expect(await pull(repo, { need: "missing" })).toMatchObject({ isNew: false });
  expect(hub.requests).toEqual([]);
  expect(await pull()).toMatchObject({ isNew: false });
  await expect(pull(`${repo}:fp16`)).rejects.toMatchObject({
    code: "INVALID_REQUEST",
    message: /in q4, and fp16 is wanted: .*--replace/,
  });
  expect(await pull(`${repo}:fp16`, { replace: true })).toMatchObject({ isNew: true });
  expect(await pulled()).toEqual([...configs, ...fp16].sort());
});

it("leaves nothing in the folder of another precision that was broken off", async () => {
  hub.faultOf = ({ host, path }) =>
    host === "storage" && path.includes("fp16") ? { kind: "status", status: 500 } : undefined;
  await expect(pull(`${repo}:fp16`)).rejects.toMatchObject({ code: "HUB_UNREACHABLE" });
  hub.faultOf = () => undefined;
  await pull(`${repo}:q4`);
  expect(await pulled()).toEqual([...configs, "onnx/model_q4.onnx"].sort());
  expect(await readdir(models)).toEqual(["chat"]);
});

const config = (value: object) => ({ "config.json": Buffer.from(JSON.stringify(value)) });

it.each<[string, (all: Record<string, Uint8Array>) => Record<string, Uint8Array>, RegExp]>([
  [
    "without ONNX files",
    (all) => without(all, /\.onnx/),
    /has its weights, but not as ONNX files: .*docs\/20-chat\.md/,
  ],
  [
    "with ONNX files of another layout",
    (all) => ({ ...without(all, /\.onnx/), "onnx/decoder_model_merged.onnx": Buffer.from("x") }),
    /of another layout \(onnx\/decoder_model_merged\.onnx\), and no onnx\/model\.onnx/,
  ],
  ["without a tokenizer", (all) => without(all, /^tokenizer\.json$/), /has no tokenizer\.json/],
  [
    "of another kind",
    (all) => ({ ...all, ...config({ architectures: ["BertModel"] }) }),
    /is a BertModel, .*causal language/,
  ],
  ["that does not say what it is", (all) => ({ ...all, ...config({}) }), /no "architectures"/],
  ["whose graph is cut off", (all) => ({ ...all, "onnx/model.onnx": Buffer.of(1, 2) }), /onnx\/model\.onnx/],
])("refuses a repository %s, and says what to do", async (_, change, message) => {
  hub.put(repo, { files: change({ ...files, ...otherChatFiles() }) });
  await expect(pull()).rejects.toMatchObject({ code: "MODEL_INVALID", message });
  expect(await readdir(models)).toEqual([".pulling"]);
});

function without(all: Record<string, Uint8Array>, pattern: RegExp): Record<string, Uint8Array> {
  return Object.fromEntries(Object.entries(all).filter(([path]) => !pattern.test(path)));
}

it("names the precisions that there are", async () => {
  await expect(pull(`${repo}:int8`)).rejects.toMatchObject({
    code: "INVALID_REQUEST",
    message: 'The model is not there in the precision "int8"; there are: fp32, fp16, q4.',
  });
  expect(() => wantedModel(`${repo}:Q4!`)).toThrow('"Q4!" is no precision');
  hub.put(repo, { files: { "model_index.json": Buffer.from("{}") } });
  await expect(pull(`${repo}:fp16`)).rejects.toMatchObject({ code: "INVALID_REQUEST", message: /no language model/ });
});
