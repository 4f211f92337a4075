import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { copyWithConditions } from "#pipelines/sdxl/testing/control-cases.ts";
import { meanDifference } from "#pipelines/testing/compare.ts";
import { shippedSdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { startTestRuntime, type TestRuntime } from "./support/runtime.ts";

/* Pictures from pictures in a whole container: the handlers and the model that ship, and references from a server. */

vi.setConfig({ testTimeout: 60_000 });

const handlers = fileURLToPath(new URL("../handlers", import.meta.url));
const models = mkdtempSync(join(tmpdir(), "models-"));
let runtime: TestRuntime;
let host: string;
let files: Readonly<Record<string, Uint8Array>>;
const server = createServer((request, response) => {
  const file = files[(request.url ?? "").slice(1)];
  if (file === undefined) response.writeHead(404).end();
  else response.writeHead(200).end(file);
});

const size = { width: 128, height: 128 };

beforeAll(async () => {
  const plain = (width: number, height: number, background: string) =>
    sharp({ create: { width, height, channels: 3, background }, limitInputPixels: false })
      .png()
      .toBuffer();
  const right = Uint8Array.from({ length: 128 * 128 }, (_, index) => (index % 128 < 64 ? 0 : 255));
  files = {
    "blue.png": await plain(128, 128, "#2060c0"),
    "mask.png": await sharp(right, { raw: { width: 128, height: 128, channels: 1 } })
      .png()
      .toBuffer(),
    "60-megapixels.png": await plain(7746, 7746, "white"),
    "a.pdf": Buffer.from("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"),
    "a.svg": Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>'),
    "cut.png": (await plain(300, 200, "red")).subarray(0, 200),
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  host = `127.0.0.1:${address.port}`;
  symlinkSync(shippedSdxl, join(models, "tiny-sdxl"));
  writeFileSync(join(models, "aliases.json"), '{ "sdxl": "tiny-sdxl" }');
  renameSync(copyWithConditions("base"), join(models, "drawn-by"));
  const environment = { HANDLERS_DIR: handlers, MODELS_DIR: models, WORKERS: "sdxl", INPUT_HOSTS_ALLOWED: host };
  runtime = await startTestRuntime(environment);
});
afterAll(async () => {
  await runtime.stop();
  await runtime.remove();
  rmSync(models, { recursive: true });
  server.closeAllConnections();
  server.close();
});

const url = (name: string) => `http://${host}/${name}`;

type Fields = Record<string, unknown>;

async function draw(name: string, metadata: Fields = {}, config: Fields = {}, fields: Fields = {}) {
  const job = { prompt: "a red apple", metadata: { reference_image_url: url(name), ...metadata }, ...fields };
  return runtime.ended(await runtime.submit("sdxl_image_fast", { ...size, seed: 1, ...config }, job));
}

/** Of the first picture of a job. */
async function pixelsOf(id: string): Promise<Uint8Array> {
  return sharp(join(runtime.folder, "files/sdxl_image_fast/anonymous", id, "0.png"))
    .raw()
    .toBuffer();
}

it("begins with the reference at its own defaults, and says what it did", async () => {
  const record = await draw("blue.png");
  expect(record).toMatchObject({
    status: "completed",
    result: {
      metadata: {
        reference_path: "img2img",
        reference_mode: "modify",
        denoise_strength: 0.2,
        // The model that ships has its own steps.
        num_inference_steps: 15,
        steps_run: 3,
        ignored: [],
      },
    },
  });
});

it("copies a reference without a prompt", async () => {
  const record = await draw("blue.png", { exact_copy_mode: true, reference_strength: 0.97 });
  expect(record).toMatchObject({
    status: "completed",
    result: { metadata: { reference_mode: "copy", steps_run: 1, num_inference_steps: 15, guidance_scale: 1 } },
  });
  const blue = Uint8Array.from({ length: 128 * 128 * 3 }, (_, index) => [0x20, 0x60, 0xc0][index % 3] ?? 0);
  expect(meanDifference(await pixelsOf(record.job.id), blue)).toBeLessThan(12);
});

it("draws anew what the mask says, and lists what plays no part", async () => {
  const record = await draw(
    "blue.png",
    { reference_strength: 0.5 },
    { mask_image_url: url("mask.png"), strength: 0.9 },
  );
  expect(record).toMatchObject({
    status: "completed",
    result: { metadata: { denoise_strength: 0.9, ignored: ["metadata.reference_strength"] } },
  });
  const pixels = await pixelsOf(record.job.id);
  expect([...pixels.subarray(0, 6)]).toEqual([0x20, 0x60, 0xc0, 0x20, 0x60, 0xc0]);
});

describe("by a model with a ControlNet and an IP-Adapter", () => {
  const small = { width: 64, height: 64, num_inference_steps: 2 };
  const drawnBy = { model_variant: "drawn-by" };

  it.each([
    ["style", "ip_adapter", { ip_adapter_scale: 0.7 }],
    ["composition", "controlnet", { control_type: "canny", controlnet_conditioning_scale: 0.7 }],
  ])("takes a reference for its %s another way: %s", async (type, path, used) => {
    const record = await draw("mask.png", { reference_type: type, reference_strength: 0.7 }, small, drawnBy);
    const reported = { reference_path: path, reference_type: type, steps_run: 2, ...used };
    expect(record).toMatchObject({ status: "completed", result: { metadata: { ...reported, ignored: [] } } });
    expect(record.result?.metadata).not.toHaveProperty("denoise_strength");
  });

  it("lists a strength that a scale overrules", async () => {
    const own = { reference_type: "style", reference_strength: 0.7 };
    const record = await draw("mask.png", own, { ...small, ip_adapter_scale: 0.4 }, drawnBy);
    const used = { ip_adapter_scale: 0.4, ignored: ["metadata.reference_strength"] };
    expect(record).toMatchObject({ status: "completed", result: { metadata: used } });
  });

  it("takes pictures for both beside a reference that it begins with", async () => {
    const pictures = { control_image_url: url("mask.png"), ip_adapter_image_url: url("blue.png") };
    const record = await draw("blue.png", { denoise_strength: 0.9 }, { ...small, ...pictures }, drawnBy);
    const reported = { reference_path: "img2img", denoise_strength: 0.9, control_type: "canny", ip_adapter_scale: 0.6 };
    expect(record).toMatchObject({ status: "completed", result: { metadata: { ...reported, ignored: [] } } });
  });

  it("says which ControlNets the model has", async () => {
    const wanted = { control_image_url: url("mask.png"), control_type: "depth" };
    const record = await draw("blue.png", {}, { ...small, ...wanted }, drawnBy);
    expect(record).toMatchObject({ status: "failed", attempt: 1, error: { code: "UNSUPPORTED_OPTION" } });
    expect(record.error?.message).toContain("no ControlNet for depth; of those it has: canny.");
  });
});

describe("ends the job at once, with a code and a sentence,", () => {
  it.each([
    ["missing.png", "INPUT_NOT_FOUND", /404/],
    ["a.pdf", "INPUT_INVALID", /PNG, JPEG, WebP/],
    ["a.svg", "INPUT_INVALID", /PNG, JPEG, WebP/],
    [
      "60-megapixels.png",
      "INPUT_TOO_LARGE",
      /^The picture of metadata\.reference_image_url has 7746 × 7746 pixels; at most 50 million are read/,
    ],
    ["cut.png", "INPUT_INVALID", /damaged/],
  ])("for the reference %s", async (name, code, message) => {
    const record = await draw(name);
    expect(record).toMatchObject({ status: "failed", attempt: 1, error: { code } });
    expect(record.error?.message).toMatch(message);
  });

  it("for a mask that is not there", async () => {
    const record = await draw("blue.png", {}, { mask_image_url: url("missing.png") });
    expect(record).toMatchObject({ status: "failed", error: { code: "INPUT_NOT_FOUND" } });
  });

  it("for a strength that leaves no step", async () => {
    const record = await draw("blue.png", {}, { denoise_strength: 0.02, steps: 20 });
    expect(record).toMatchObject({ status: "failed", attempt: 1, error: { code: "INVALID_JOB" } });
    expect(record.error?.message).toContain("use at least 50 steps");
  });
});
