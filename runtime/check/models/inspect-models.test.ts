import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InferenceSession } from "onnxruntime-node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { inspectModel } from "./inspect-model.ts";
import { inspectModels } from "./inspect-models.ts";
import { onnxBytes } from "./testing/onnx-bytes.ts";

const shipped = fileURLToPath(new URL("../../../models/tiny-sdxl", import.meta.url));
const weights = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer);
const external = (location: string) => onnxBytes([{ name: "w", external: { location, offset: 0, length: 16 } }]);

let models: string;
let model: string;

beforeEach(async () => {
  models = await mkdtemp(join(tmpdir(), "ourvidz-models-"));
  model = join(models, "model");
});
afterEach(() => rm(models, { recursive: true, force: true }));

async function put(files: Readonly<Record<string, Uint8Array | string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(models, name)), { recursive: true });
    await writeFile(join(models, name), content);
  }
}

/** Whether ONNX Runtime loads what the inspection has an opinion of. */
async function loads(path: string): Promise<boolean> {
  const session = await InferenceSession.create(path, { logSeverityLevel: 4 }).catch(() => null);
  await session?.release();
  return session !== null;
}

describe("weights beside an ONNX file", () => {
  it.each([
    ["are there", { "model/unet/model.onnx_data": weights }, "model.onnx_data", null],
    ["are missing", {}, "model.onnx_data", /model\.onnx_data is missing/],
    [
      "are cut off",
      { "model/unet/model.onnx_data": weights.subarray(0, 8) },
      "model.onnx_data",
      /has 8 bytes.*end at 16/,
    ],
    ["are in a folder below", { "model/unet/parts/a": weights }, "parts/a", null],
    ["are in the folder above", { "model/a": weights }, "../a", /outside of its own folder/],
    ["have an absolute path", {}, "/etc/hostname", /outside of its own folder/],
    ["are a folder", { "model/unet/d/a": weights }, "d", /is no file/],
  ])("%s", async (_what, files, location, problem) => {
    await put({ "model/unet/model.onnx": external(location), ...files });
    const { problems } = await inspectModel(model);
    if (problem === null) expect(problems).toEqual([]);
    else expect(problems).toEqual([expect.stringMatching(problem)]);
    expect(await loads(join(model, "unet/model.onnx"))).toBe(problem === null);
  });

  it("may be links, as the hub's cache has them, also through a link to the whole folder", async () => {
    await put({ "blobs/aaa": external("model.onnx_data"), "blobs/bbb": weights });
    await mkdir(join(models, "snapshots/1/unet"), { recursive: true });
    await symlink("../../../blobs/aaa", join(models, "snapshots/1/unet/model.onnx"));
    await symlink("../../../blobs/bbb", join(models, "snapshots/1/unet/model.onnx_data"));
    await symlink("snapshots/1", model);
    expect(await inspectModel(model)).toMatchObject({
      problems: [],
      sizeBytes: external("model.onnx_data").length + 16,
    });
    expect(await loads(join(model, "unet/model.onnx"))).toBe(true);
    await rm(join(models, "blobs/bbb"));
    expect((await inspectModel(model)).problems).toEqual([expect.stringContaining("model.onnx_data is missing")]);
    await rm(join(models, "blobs/aaa"));
    expect((await inspectModel(model)).problems).toEqual([
      expect.stringMatching(/model\.onnx is a link to a file that is not/),
    ]);
  });

  it("are refused as a link out of the folder beside a real ONNX file, which ONNX Runtime does not take", async () => {
    await put({ "model/unet/model.onnx": external("a"), "disk/a": weights });
    await symlink("../../disk/a", join(model, "unet/a"));
    expect((await inspectModel(model)).problems).toEqual([expect.stringMatching(/is a link out of its folder/)]);
    expect(await loads(join(model, "unet/model.onnx"))).toBe(false);
  });
});

describe("a pipeline's folder", () => {
  beforeEach(() => cp(shipped, model, { recursive: true }));

  it("is in order as it ships", async () => {
    expect(await inspectModel(model)).toMatchObject({ problems: [], warnings: [] });
  });

  it.each([
    ["text_encoder/config.json", "{", /text_encoder\/config\.json is no JSON object/],
    ["generation_config.json", "[]", /generation_config\.json is no JSON object/],
    ["tokenizer_2/tokenizer.json", '{"model": ', /tokenizer_2\/tokenizer\.json is no JSON/],
    ["scheduler/scheduler_config.json", "no", /scheduler_config\.json is no JSON/],
    ["unet/model.onnx", "version https://git-lfs.github.com/spec/v1\n", /unet\/model\.onnx .*git lfs pull/],
  ])("names a broken %s", async (file, content, problem) => {
    await writeFile(join(model, file), content);
    expect((await inspectModel(model)).problems).toEqual([expect.stringMatching(problem)]);
  });

  it("names what is missing, a tokenizer without merges among it", async () => {
    for (const gone of ["tokenizer/tokenizer.json", "tokenizer/merges.txt", "unet/model.onnx", "vae_decoder"])
      await rm(join(model, gone), { recursive: true });
    expect((await inspectModel(model)).problems).toEqual([
      expect.stringMatching(/tokenizer\.json or .*merges\.txt is missing/),
      expect.stringContaining("unet/model.onnx is missing"),
      expect.stringContaining("vae_decoder/config.json is missing"),
      expect.stringContaining("vae_decoder/model.onnx is missing"),
    ]);
  });

  it("warns of a scheduler that no pipeline here has", async () => {
    await writeFile(join(model, "scheduler/scheduler_config.json"), '{"_class_name": "StrollScheduler"}');
    expect(await inspectModel(model)).toMatchObject({
      problems: [],
      warnings: [expect.stringMatching(/StrollScheduler.*EulerDiscreteScheduler/)],
    });
  });

  it("has another signature when a file is written to, replaced by one of its size, or gone", async () => {
    const signatures = [(await inspectModel(model)).signature];
    const file = join(model, "unet/model.onnx");
    await truncate(file, 1000);
    signatures.push((await inspectModel(model)).signature);
    await cp(file, join(models, "new"), { preserveTimestamps: true });
    await rename(join(models, "new"), file);
    signatures.push((await inspectModel(model)).signature);
    await rm(file);
    signatures.push((await inspectModel(model)).signature);
    expect(new Set(signatures).size).toBe(4);
    expect((await inspectModel(model)).signature).toBe(signatures.at(-1));
  });
});

describe("a folder with a refiner", () => {
  const fixture = fileURLToPath(new URL("../../../pipelines/sdxl/fixtures/refiner/refiner", import.meta.url));
  beforeEach(async () => {
    await cp(shipped, model, { recursive: true });
    await cp(fixture, join(model, "refiner"), { recursive: true });
  });

  it("lists it, and takes encoder, tokenizer and VAE of the base", async () => {
    const report = await inspectModel(model);
    expect(report).toMatchObject({ problems: [], warnings: [] });
    expect(report.components).toContain("refiner");
  });

  it("names what the refiner lacks, and what is broken in it", async () => {
    await rm(join(model, "refiner/unet/model.onnx"));
    await writeFile(join(model, "refiner/unet/config.json"), "{");
    await mkdir(join(model, "refiner/text_encoder_2"));
    expect((await inspectModel(model)).problems).toEqual([
      expect.stringContaining("refiner/text_encoder_2/config.json is missing"),
      expect.stringContaining("refiner/unet/model.onnx is missing"),
      expect.stringContaining("refiner/text_encoder_2/model.onnx is missing"),
      expect.stringMatching(/refiner\/unet\/config\.json is no JSON/),
    ]);
  });
});

it("lists what a folder draws by beside the prompt, and names what such a part lacks", async () => {
  const fixture = fileURLToPath(
    new URL("../../../pipelines/sdxl/fixtures/control/random-sdxl-control", import.meta.url),
  );
  await cp(shipped, model, { recursive: true });
  await cp(fixture, model, { recursive: true, filter: (file) => !file.includes("/unet") });
  const report = await inspectModel(model);
  expect(report.components).toEqual(expect.arrayContaining(["controlnet: canny", "image_encoder"]));
  // They are packed in the fixture.
  expect(report.problems).toEqual([
    expect.stringContaining("controlnet_canny/model.onnx is missing"),
    expect.stringContaining("image_encoder/model.onnx is missing"),
  ]);
});

it("warns of a folder that is meant for a ControlNet, and has no name by which it is found", async () => {
  await cp(shipped, model, { recursive: true });
  await mkdir(join(model, "controlnet-canny"));
  await mkdir(join(model, "ControlNet_Depth Large"));
  expect(await inspectModel(model)).toMatchObject({
    problems: [],
    warnings: [
      expect.stringMatching(/ControlNet_Depth Large is not used: .* such as controlnet_depth_large$/),
      expect.stringMatching(/controlnet-canny is not used: .* such as controlnet_canny$/),
    ],
  });
});

it("counts a folder once that a link in it leads back to", async () => {
  await cp(shipped, model, { recursive: true });
  const { sizeBytes, signature } = await inspectModel(model);
  await symlink(".", join(model, "again"));
  await symlink("..", join(model, "unet/above"));
  expect(await inspectModel(model)).toMatchObject({ sizeBytes, signature });
});

it("lists folders with their other names, and those that only aliases.json knows", async () => {
  await cp(shipped, model, { recursive: true });
  await put({ "aliases.json": '{"sdxl": "model", "wan": "far"}', "notes/a.txt": "prompts" });
  expect(await inspectModels(models, null)).toMatchObject([
    { name: "model", aliases: ["sdxl"], problems: [] },
    { name: "notes", problems: [], warnings: [expect.stringContaining("holds no model")] },
    { name: "far", aliases: ["wan"], problems: [expect.stringContaining("aliases.json")] },
  ]);
});

describe("a WAN's folder", () => {
  const wan = fileURLToPath(new URL("../../../pipelines/wan/fixtures/random-wan-2", import.meta.url));
  beforeEach(() => cp(wan, model, { recursive: true }));

  it("is in order with both transformers, and a decoder in two graphs that share their weights", async () => {
    expect(await inspectModel(model)).toMatchObject({
      problems: [],
      warnings: [],
      components: ["scheduler", "text_encoder", "tokenizer", "transformer", "transformer_2", "vae"],
    });
  });

  it("knows weights that are a pointer of Git LFS", async () => {
    const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3125248\n";
    await writeFile(join(model, "vae_decoder/model.onnx_data"), pointer);
    expect((await inspectModel(model)).problems).toContainEqual(
      expect.stringMatching(/vae_decoder\/model\.onnx_data is a pointer of Git LFS.*git lfs pull/),
    );
  });

  it("names each graph whose shared weights are cut off", async () => {
    await truncate(join(model, "vae_decoder/model.onnx_data"), 1000);
    expect((await inspectModel(model)).problems).toEqual([
      expect.stringMatching(/vae_decoder\/model\.onnx_data is cut off: it has 1000 bytes/),
      expect.stringMatching(/vae_decoder\/model\.onnx_data is cut off: it has 1000 bytes/),
    ]);
  });

  it("names what is missing", async () => {
    for (const gone of ["vae_decoder/next.onnx", "tokenizer/tokenizer.json", "transformer_2/model.onnx", "scheduler"])
      await rm(join(model, gone), { recursive: true });
    expect((await inspectModel(model)).problems.toSorted()).toEqual([
      expect.stringMatching(/scheduler\/scheduler_config\.json is missing/),
      expect.stringMatching(/tokenizer\/tokenizer\.json is missing/),
      expect.stringMatching(/transformer_2\/model\.onnx is missing/),
      expect.stringMatching(/vae_decoder\/next\.onnx is missing/),
    ]);
  });

  it("warns of a scheduler that is no flow one, or no other", async () => {
    await writeFile(join(model, "scheduler/scheduler_config.json"), '{"_class_name": "EulerDiscreteScheduler"}');
    expect(await inspectModel(model)).toMatchObject({
      problems: [],
      warnings: [expect.stringMatching(/EulerDiscreteScheduler, which .* there are: UniPCMultistepScheduler, /)],
    });
  });
});

describe("a folder whose files are whole", () => {
  const handlers = fileURLToPath(new URL("../../../handlers", import.meta.url));
  const reportOf = async (name = "model") => {
    const registry = await loadHandlers(handlers);
    return (await inspectModels(models, registry)).find((report) => report.name === name);
  };
  const edit = async (file: string, changes: object) => {
    const path = join(model, file);
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...changes }));
  };
  beforeEach(async () => {
    await cp(shipped, model, { recursive: true });
    await put({ "aliases.json": '{"sdxl": "model"}' });
  });

  it("is in order when its parts fit each other", async () => {
    expect(await reportOf()).toMatchObject({ problems: [], warnings: [] });
  });

  it("is not when job types need another kind of model, or none can be made out", async () => {
    await edit("model_index.json", { _class_name: "FluxPipeline" });
    expect(await reportOf()).toMatchObject({
      problems: [expect.stringMatching(/is a FluxPipeline; this pipeline runs/)],
    });
    await rm(join(model, "model_index.json"));
    expect(await reportOf()).toMatchObject({ problems: [expect.stringMatching(/model_index\.json/)] });
    // As a model that only jobs could name, it may be for handlers that are not here.
    await put({ "aliases.json": "{}" });
    expect(await reportOf()).toMatchObject({
      problems: [],
      warnings: [expect.stringContaining("no job type here uses it")],
    });
  });

  it("is not when its refiner is a link to the model itself", async () => {
    await symlink(".", join(model, "refiner"));
    expect(await reportOf()).toMatchObject({ problems: [expect.stringMatching(/refiner: it is a link to the model/)] });
  });

  it.each([
    ["unet/config.json", { cross_attention_dim: 2048 }, /cross_attention_dim is 2048, but the text encoders' width is/],
    ["text_encoder_2/config.json", { projection_dim: "wide" }, /text_encoder_2\/config\.json: .*projection_dim/s],
    ["generation_config.json", { num_inference_steps: 9000 }, /generation_config\.json: .*num_inference_steps is 9000/],
    ["generation_config.json", { job_types: 7 }, /generation_config\.json is not valid/],
    [
      "generation_config.json",
      { sampler_presets: { euler: { guidance_scale: "much" } } },
      /generation_config\.json: .*guidance_scale is "much"/,
    ],
  ])("is not when its jobs would fail: %s %j", async (file, changes, problem) => {
    await edit(file, changes);
    expect(await reportOf()).toMatchObject({ problems: [expect.stringMatching(problem)] });
    // The same for one that jobs name themselves.
    await put({ "aliases.json": "{}" });
    expect(await reportOf()).toMatchObject({ problems: [expect.stringMatching(problem)] });
  });
});
