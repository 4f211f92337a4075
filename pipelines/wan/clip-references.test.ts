import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { randomWans } from "#pipelines/testing/random-wan.ts";
import type { ClipJob, ClipParameters } from "./clip-job.ts";
import { type ClipReferences, conditionOf, referenceFilesOf, unusedOf } from "./clip-references.ts";
import { type ClipHost, generateExactClip } from "./generate-clip.ts";
import type { ModelTask } from "./model-tasks.ts";
import { type ReferenceMode, type ReferencePath, referencePathOf, referencePlanOf } from "./reference-way.ts";

const folder = mkdtempSync(join(tmpdir(), "references-"));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  const create = { width: 80, height: 40, channels: 3, background: "#2060c0" } as const;
  await sharp({ create }).png().toFile(join(folder, "lake.png"));
  writeFileSync(join(folder, "page.html"), "<!doctype html><title>Not found</title>");
});

/** A host whose inputs are files of a folder, and whose only model makes clips from text. */
function hostOf(parameters: Partial<ClipParameters> = {}) {
  const assets: Uint8Array[] = [];
  const stages: string[] = [];
  const scratch = mkdtempSync(join(folder, "scratch-"));
  const host: ClipHost = {
    signal: new AbortController().signal,
    cacheFolder: join(folder, "cache"),
    log: { info() {}, warn() {} },
    progress() {},
    stage: ({ name }) => void stages.push(name),
    parameters: async () => ({
      ...{ width: 64, height: 64, num_inference_steps: 3, guidance_scale: 1, seed: 4, frame_num: 5 },
      ...parameters,
    }),
    model: async () => ({ name: "random-wan", path: randomWans["random-wan"], version: "1" }),
    input: async (url) => ({ file: join(folder, url), mimeType: "image/png" }),
    scratch: async () => scratch,
    asset: async (content) => {
      assets.push(content instanceof Uint8Array ? content : readFileSync(content.file));
    },
  };
  return { host, assets, stages, scratch };
}

const job = (config: ClipJob["config"], metadata: ClipJob["metadata"] = {}) => ({ prompt: "a lake", config, metadata });

describe("the pictures of a job", () => {
  it.each([
    [job({}), undefined],
    [job({ image: "a" }), { mode: "single", single: "a", strength: 0.85 }],
    [job({}, { reference_image_url: "a", reference_strength: 0 }), { mode: "single", single: "a", strength: 0 }],
    [job({ first_frame: "a", image: "b" }), { mode: "start", start: "a", strength: 0.85 }],
    [job({ last_frame: "a" }, { reference_image_url: "b" }), { mode: "end", end: "a", strength: 0.85 }],
    [
      job({ first_frame: "a" }, { start_reference_url: "c", end_reference_url: "b", reference_strength: 1 }),
      { mode: "both", start: "a", end: "b", strength: 1 },
    ],
  ])("of %j are %j", (given, plan) => {
    expect(referencePlanOf(given)).toEqual(plan);
  });
});

const kinds = {
  text: ["text"],
  vace: ["text", "vace"],
  i2v: ["first-frame"],
  flf2v: ["first-last-frame"],
  i2v22: ["first-frame", "first-last-frame"],
} as const satisfies Record<string, readonly ModelTask[]>;

/** A host with these folders. */
const folders = (...names: readonly (keyof typeof randomWans)[]) => ({
  model: async (name?: string) => {
    const found = names.find((each) => each === (name === "wan" ? "random-wan" : name));
    if (found === undefined) throw new Error("there is none");
    return { name: found, path: randomWans[found] };
  },
});

describe("the way", () => {
  it.each<[ReferenceMode, keyof typeof kinds, ReferencePath]>([
    ["single", "text", "anchor"],
    ["start", "text", "anchor"],
    ["end", "text", "anchor"],
    ["both", "text", "anchor"],
    ["single", "vace", "vace"],
    ["start", "vace", "vace"],
    ["end", "vace", "vace"],
    ["both", "vace", "vace"],
    ["single", "i2v", "i2v"],
    ["start", "i2v22", "i2v"],
    ["both", "i2v22", "flf2v"],
    ["both", "flf2v", "flf2v"],
  ])("of %s through a model of the kind %s is %s", async (mode, kind, path) => {
    expect(await referencePathOf({ mode }, { name: "a", tasks: kinds[kind] }, 17, folders())).toBe(path);
  });

  it.each<[ReferenceMode, keyof typeof kinds, string]>([
    ["end", "i2v", "the model a begins its clips with a picture, and the job gives a last frame alone"],
    ["both", "i2v", "the model a begins its clips with a picture, and the job gives a first and a last frame"],
    ["start", "flf2v", "the model a begins and ends its clips with pictures, and the job gives a first frame alone"],
    ["single", "flf2v", "the model a begins and ends its clips with pictures, and the job gives one picture"],
  ])("of %s through a model of the kind %s is none: what could is named", async (mode, kind, problem) => {
    const model = { name: "a", tasks: kinds[kind] };
    const refused = (host: Parameters<typeof referencePathOf>[3]) =>
      referencePathOf({ mode }, model, 17, host).catch(({ code, message }) => [code, message]);
    const exported =
      "export a VACE model (WanVACEPipeline, as vace-14B) with tools/export/export_wan.py, and send its folder's name as model_variant";
    expect(await refused(folders())).toEqual(["UNSUPPORTED_OPTION", `${problem}: ${exported}`]);
    expect(await refused(folders("random-wan"))).toEqual([
      "UNSUPPORTED_OPTION",
      `${problem}: send model_variant "wan"`,
    ]);
  });

  it("of one frame does not go through a model that would return the picture", async () => {
    const both = { name: "a", tasks: ["text", "first-frame"] } as const;
    expect(await referencePathOf({ mode: "single" }, both, 1, folders())).toBe("anchor");
    expect(await referencePathOf({ mode: "single" }, both, 17, folders())).toBe("i2v");
    await expect(
      referencePathOf({ mode: "single" }, { name: "a", tasks: kinds.i2v }, 1, folders()),
    ).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: expect.stringContaining("the model a begins its clips with a picture, and the job requests one frame"),
    });
  });
});

describe("the condition", () => {
  const picture: RgbImage = { data: new Uint8ClampedArray(3), width: 1, height: 1 };
  const of = (path: ReferencePath, mode: ReferenceMode, pictures: Partial<ClipReferences>, frames = 5) =>
    conditionOf({ path, plan: { mode, strength: 0.4 }, ...pictures }, frames);

  it("of VACE has the known frames, or a picture beside them", () => {
    expect(of("vace", "end", { end: picture })).toEqual({
      kind: "vace",
      video: ["gray", "gray", "gray", "gray", picture],
      mask: ["white", "white", "white", "white", "black"],
    });
    expect(of("vace", "single", { single: picture })).toEqual({ kind: "vace", references: [picture] });
  });

  it("of image to video is its first frame, whatever the job calls it", () => {
    expect(of("i2v", "single", { single: picture })).toMatchObject({ kind: "frames", first: picture });
    expect(of("flf2v", "both", { start: picture, end: picture })).toEqual({
      ...{ kind: "frames", first: picture, last: picture },
    });
  });

  it("of a text model holds frames, and of one frame that one", () => {
    const held = { kind: "anchor", strength: 0.4 };
    expect(of("anchor", "single", { single: picture })).toMatchObject({ ...held, single: picture });
    expect(of("anchor", "end", { end: picture })).toMatchObject({ ...held, last: picture });
    expect(of("anchor", "single", { single: picture }, 1)).toEqual({ ...held, first: picture });
    expect(of("anchor", "end", { end: picture }, 1)).toEqual({ ...held, first: picture });
  });
});

it.each<[ReferencePath, ReferenceMode, number, string[]]>([
  ["vace", "start", 6.6, []],
  ["vace", "start", 5, ["metadata.reference_strength"]],
  ["vace", "single", 6.6, ["reference_fit"]],
  ["i2v", "single", 6.6, []],
  ["anchor", "start", 5, []],
])("on the way %s in the mode %s with guidance %d, %j plays no part", (path, mode, guidance_scale, fields) => {
  const parameters = { guidance_scale, reference_fit: "contain" } as const;
  const given = job({}, { reference_strength: 0.4 });
  expect(Object.keys(unusedOf({ path, plan: { mode, strength: 0.4 } }, given, parameters))).toEqual(fields);
});

describe("a clip", () => {
  it("reports the way that its picture took, and another strength makes another clip", async () => {
    const made = async (strength: number) => {
      const { host, assets } = hostOf();
      const { metadata } = await generateExactClip(
        job({ first_frame: "lake.png" }, { reference_strength: strength }),
        host,
      );
      return { metadata, bytes: assets[0] };
    };
    const full = await made(1);
    expect(full.metadata).toMatchObject({
      reference_mode: "start",
      reference_path: "anchor",
      reference_strength: 1,
      ignored: [],
    });
    expect((await made(1)).bytes).toEqual(full.bytes);
    expect((await made(0.3)).bytes).not.toEqual(full.bytes);
  });

  it("of one frame is made from a picture", async () => {
    const { host, assets } = hostOf({ frame_num: 1, reference_fit: "contain" });
    const { metadata } = await generateExactClip(job({ image: "lake.png" }), host);
    expect(metadata).toMatchObject({ reference_mode: "single", reference_path: "anchor", content_type: "image" });
    expect(assets).toHaveLength(1);
  });

  it.each([
    [{ image: "page.html" }, "reference picture"],
    [{ first_frame: "page.html" }, "first frame"],
    [{ last_frame: "page.html" }, "last frame"],
  ])("from %j fails before anything is loaded or written, naming the %s", async (config, what) => {
    const { host, assets, stages, scratch } = hostOf();
    await expect(generateExactClip(job(config), host)).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: `The ${what} cannot be used: it is no picture, or its header is damaged. Send a PNG, JPEG, WebP or GIF.`,
    });
    expect([stages, assets, readdirSync(scratch)]).toEqual([[], [], []]);
  });
});

describe("for a command that reads pictures itself", () => {
  it("there are their files, of those that count", async () => {
    const { host } = hostOf();
    const given = job({ first_frame: "lake.png", image: "page.html" });
    const files = { single: undefined, start: join(folder, "lake.png"), end: undefined };
    expect(await referenceFilesOf(given, host)).toEqual(files);
  });

  it("videos are refused", async () => {
    const { host } = hostOf();
    const moving = { ...host, input: async () => ({ file: "a.mp4", mimeType: "video/mp4" }) };
    await expect(referenceFilesOf(job({ last_frame: "a" }), moving)).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: "The last frame cannot be used: it is video/mp4. Send a PNG, JPEG, WebP or GIF.",
    });
  });
});
