import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JobSchema } from "#contract/check-job.ts";
import { inputFieldsOf } from "#contract/input-fields.ts";
import { jobEnvelope } from "#contract/job.ts";
import { schemaOf } from "#contract/schemas.ts";
import { readConfig } from "#runtime/container/config.ts";
import { type Embedded, openEmbedded } from "#runtime/container/embedded.ts";
import { makePicture, sha256 } from "../testing/harness.ts";
import { admitInputs } from "./admit-inputs.ts";
import { UploadRows } from "./upload-rows.ts";
import { Uploads, type UploadsOptions } from "./uploads.ts";

let base: string;
let embedded: Embedded;
let uploads: Uploads;
let picture: Buffer;
let pictureAddress: string;
let weights: Buffer;
let weightsAddress: string;

function makeUploads(options: Partial<UploadsOptions> = {}): Uploads {
  return new Uploads({
    rows: new UploadRows(embedded.database),
    store: embedded.store,
    folder: join(base, "partial"),
    limits: { fileBytes: { media: 1e6, weights: 1e6 }, userBytes: 1e7, totalBytes: 1e7, keepMs: 7_200_000 },
    log: pino({ level: "silent" }),
    nowMs: Date.now,
    isActive: async (jobId) => jobId === "job-1",
    ...options,
  });
}

async function keep(bytes: Uint8Array, userId = "ann"): Promise<string> {
  const content = (async function* () {
    yield bytes;
  })();
  const { upload } = await uploads.add({ userId, content, signal: new AbortController().signal });
  return `input:${upload.sha256}`;
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "ourvidz-admit-"));
  embedded = await openEmbedded(readConfig({ DATA_DIR: base }, () => "test"));
  uploads = makeUploads();
  picture = await makePicture("olive", 16);
  pictureAddress = await keep(picture);
  const header = Buffer.from('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.byteLength));
  weights = Buffer.concat([length, header]);
  weightsAddress = await keep(weights);
});
afterAll(async () => {
  await embedded.close();
  await rm(base, { recursive: true, force: true });
});

function sdxl(): JobSchema {
  const schema = schemaOf("sdxl_image_fast");
  if (schema === undefined) throw new Error("the contract has no sdxl_image_fast");
  return schema;
}

const job = (fields: Record<string, unknown>) =>
  jobEnvelope.parse({ id: "job-1", type: "sdxl_image_fast", user_id: "ann", prompt: "a lake", ...fields });
const here = { name: "sqlite", isEmbedded: true };
const rules = { allowedHosts: ["nas.lan", "10.0.0.7:8080"], projectUrl: null };
const elsewhere = { name: "upstash", isEmbedded: false };
const admit = (fields: Record<string, unknown>, more = {}) =>
  admitInputs(job(fields), sdxl(), { uploads, queue: here, publicUrl: null, rules, ...more });
const dataAddress = () => `data:image/png;base64,${picture.toString("base64")}`;

it("the fields that name files say so", () => {
  expect(inputFieldsOf(sdxl())).toEqual(
    expect.arrayContaining([
      { path: ["metadata", "reference_image_url"], takes: "picture" },
      { path: ["config", "mask_image_url"], takes: "picture" },
      { path: ["config", "loras"], takes: "weights" },
    ]),
  );
});

describe("a job at the door", () => {
  it("that names no files is left as it is", async () => {
    const given = job({ config: { seed: 1 } });
    expect(await admitInputs(given, sdxl(), { uploads, queue: here, publicUrl: null, rules })).toBe(given);
  });

  it("has what is in it stored, wherever its fields may be, and nothing else", async () => {
    const admitted = await admit({
      prompt: dataAddress(),
      reference_image_url: dataAddress(),
      config: { mask_image_url: dataAddress(), negative_prompt: "data: none" },
      metadata: { reference_image_url: dataAddress(), icon: dataAddress() },
    });
    expect(admitted).toMatchObject({
      prompt: dataAddress(),
      reference_image_url: pictureAddress,
      config: { mask_image_url: pictureAddress, negative_prompt: "data: none" },
      metadata: { reference_image_url: pictureAddress, icon: dataAddress() },
    });
  });

  it("has the pictures of a list stored, and a video where a picture or a video may be", async () => {
    const schema = schemaOf("vace");
    if (schema === undefined) throw new Error("the contract has no vace");
    const given = job({ type: "vace", config: { image_refs: [dataAddress(), "https://a.example/1.png"] } });
    const admitted = await admitInputs(given, schema, { uploads, queue: here, publicUrl: null, rules });
    expect(admitted.config).toEqual({ image_refs: [pictureAddress, "https://a.example/1.png"] });
    const named = job({ type: "vace", config: { video_mask: pictureAddress, video_guide: pictureAddress } });
    await expect(admitInputs(named, schema, { uploads, queue: here, publicUrl: null, rules })).rejects.toMatchObject({
      details: [{ field: "config.video_guide", message: "must be a video, and is image/png" }],
    });
  });

  it.each([
    ["http://127.0.0.1/a.png", "it is not https"],
    ["https://10.0.0.1/a.png", "its host is not on the public internet (private)"],
    ["https://localhost/a.png", "its host is not on the public internet (loopback)"],
    ["https://[::ffff:169.254.169.254]/a.png", "its host is not on the public internet (linkLocal)"],
    ["https://files.example:8443/a.png", "it has the port 8443"],
    ["https://ann:secret@files.example/a.png", "it contains a user name or a password"],
    ["http://10.0.0.7/a.png", "it is not https"],
    ["file:///etc/passwd", "file: is no way to fetch a file"],
    ["@/etc/passwd", "it is not an address"],
  ])("that names %s is refused in every field, with the ways out", async (address, why) => {
    for (const [field, fields] of Object.entries({
      reference_image_url: { reference_image_url: address },
      "config.mask_image_url": { config: { mask_image_url: address } },
      "metadata.reference_image_url": { metadata: { reference_image_url: address } },
      ...(address.startsWith("http") && !address.includes("@")
        ? { "config.loras": { config: { additional_loras: { [address]: 1 } } } }
        : {}),
    })) {
      await expect(admit(fields)).rejects.toMatchObject({
        status: 422,
        code: "INPUT_REFUSED",
        message: expect.stringMatching(/POST \/inputs.*--input name=@file.*data:/),
        details: [{ field, message: expect.stringContaining(why) }],
      });
    }
  });

  it("may name what the operator allows, LoRA files by name, and no picture", async () => {
    const fields = {
      config: { mask_image_url: "http://10.0.0.7:8080/a.png", loras: ["ink", "http://nas.lan/b.safetensors"] },
      metadata: { reference_image_url: "http://nas.lan:9000/a.png" },
    };
    expect(await admit(fields)).toMatchObject(fields);
    expect(await admit({ config: { mask_image_url: "" } })).toMatchObject({ config: { mask_image_url: "" } });
  });

  it("keeps the files that it names, by themselves or in a list", async () => {
    const fields = { config: { loras: [{ path: weightsAddress }] }, metadata: { reference_image_url: pictureAddress } };
    expect(await admit(fields)).toMatchObject(fields);
    const later = makeUploads({ nowMs: () => Date.now() + 8_000_000 });
    expect(await later.removeExpired()).toBe(0);
    const after = makeUploads({ nowMs: () => Date.now() + 8_000_000, isActive: async () => false });
    expect(await after.removeExpired()).toBe(2);
    await Promise.all([keep(picture), keep(weights)]);
  });

  it("may name files that other containers have, where all share a storage", async () => {
    const store = {
      ...embedded.store,
      name: "app",
      put: async () => undefined,
      url: async () => null,
      remove: async () => undefined,
    };
    const fields = { metadata: { reference_image_url: `input:${"0".repeat(64)}` } };
    expect(await admit(fields, { uploads: makeUploads({ store }), queue: elsewhere })).toMatchObject(fields);
  });

  it("for a queue that others read has an address under which they reach the file", async () => {
    const fields = { metadata: { reference_image_url: pictureAddress } };
    const { metadata } = await admit(fields, { queue: elsewhere, publicUrl: "https://worker.example" });
    const url = new URL(String(metadata.reference_image_url));
    expect(url.origin).toBe("https://worker.example");
    expect(url.pathname).toBe(`/files/inputs/ann/inputs/${sha256(picture)}.png`);
    const below = await admit(fields, { queue: elsewhere, publicUrl: "https://worker.example/gpu" });
    expect(String(below.metadata.reference_image_url)).toMatch(/^https:\/\/worker\.example\/gpu\/files\/inputs\//);
    const secondsLeft = Number(url.searchParams.get("expires")) - Date.now() / 1000;
    expect(secondsLeft).toBeGreaterThan(7000);
    for (const publicUrl of [null, "http://10.0.0.7:7860"])
      await expect(admit(fields, { queue: elsewhere, publicUrl })).rejects.toMatchObject({
        code: "UNSUPPORTED_OPTION",
        message: expect.stringContaining("PUBLIC_URL"),
      });
  });

  it.each<[string, () => Record<string, unknown>, string, string]>([
    [
      "of another user",
      () => ({ user_id: "bob", metadata: { reference_image_url: pictureAddress } }),
      "INPUT_NOT_FOUND",
      "metadata.reference_image_url",
    ],
    [
      "that nobody has uploaded",
      () => ({ config: { loras: [`input:${"1".repeat(64)}`] } }),
      "INPUT_NOT_FOUND",
      "config.loras.0",
    ],
    [
      "of another kind",
      () => ({ config: { mask_image_url: weightsAddress } }),
      "INVALID_JOB",
      "must be a picture, and is application/vnd.safetensors",
    ],
    [
      "in itself that is none",
      () => ({ config: { mask_image_url: "data:image/png;base64,aGVsbG8=" } }),
      "INPUT_INVALID",
      "config.mask_image_url: ",
    ],
  ])("is refused with a file %s", async (_what, fields, code, message) => {
    await expect(admit(fields())).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });
});
