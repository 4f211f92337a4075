import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { startTestRuntime, type TestRuntime } from "./support/runtime.ts";

/* LoRA files of jobs in a whole container: from a server and from the models folder, and what becomes of a job without one. */

vi.setConfig({ testTimeout: 90_000 });

const fixture = (name: string) =>
  fileURLToPath(new URL(`../pipelines/lora/fixtures/${name}.safetensors`, import.meta.url));
const small = { width: 64, height: 64, num_inference_steps: 2, guidance_scale: 3, seed: 5 };

let models: string;
let container: TestRuntime;
let host: string;
let site: RequestListener;
let requests: (string | undefined)[];
const server = createServer((request, response) => {
  requests.push(request.headers["if-none-match"]);
  site(request, response);
});

beforeAll(async () => {
  models = mkdtempSync(join(tmpdir(), "ourvidz-lora-models-"));
  symlinkSync(tinySdxl, join(models, "sdxl"));
  mkdirSync(join(models, "loras"));
  copyFileSync(fixture("peft"), join(models, "loras/watercolour.safetensors"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  host = `127.0.0.1:${address.port}`;
  container = await startTestRuntime({
    HANDLERS_DIR: join(import.meta.dirname, "../handlers"),
    MODELS_DIR: models,
    WORKERS: "sdxl",
    INPUT_HOSTS_ALLOWED: host,
    LORA_MAX_MB: "1",
  });
});
afterAll(async () => {
  await container.stop();
  await container.remove();
  server.closeAllConnections();
  server.close();
  rmSync(models, { recursive: true });
});
beforeEach(() => {
  requests = [];
  site = serving(readFileSync(fixture("kohya")));
});

function serving(content: Uint8Array): RequestListener {
  return (request, response) => {
    if (request.headers["if-none-match"] === '"1"') response.writeHead(304).end();
    else response.writeHead(200, { ETag: '"1"' }).end(content);
  };
}

const url = () => `http://${host}/styles/ink.safetensors?token=abc`;

async function run(config: Record<string, unknown>) {
  return await container.ended(await container.submit("sdxl_generate", { ...small, ...config }));
}

/** The bytes of a job's picture. */
async function draw(config: Record<string, unknown>): Promise<Buffer> {
  const { status, error, job } = await run(config);
  expect([status, error]).toEqual(["completed", null]);
  return readFileSync(container.files.locate("sdxl_generate", `anonymous/${job.id}/0.png`));
}

describe("a job for SDXL", () => {
  it("draws with files from a server and from the models folder, and without them as before", async () => {
    const plain = await draw({});
    const { result, job } = await run({ loras: [{ path: url(), scale: 0.7 }, "watercolour"] });
    expect(result?.metadata?.loras).toEqual([
      { name: `http://${host}/styles/ink.safetensors`, strength: 0.7 },
      { name: "watercolour", strength: 1 },
    ]);
    const both = readFileSync(container.files.locate("sdxl_generate", `anonymous/${job.id}/0.png`));
    expect(both.equals(plain)).toBe(false);
    expect(both.includes("token=abc")).toBe(false);
    // Other names for the same, and the server is asked whether its file is still the same one.
    const again = await draw({ activated_loras: ["watercolour"], additional_loras: { [url()]: 0.7 } });
    expect(pixelsOf(again)).toEqual(pixelsOf(both));
    expect(requests).toEqual([undefined, '"1"']);
    expect(readdirSync(join(container.folder, "loras/content"))).toHaveLength(1);
    expect(pixelsOf(await draw({}))).toEqual(pixelsOf(plain));
  });

  it.each([
    ["that is not there", () => site404(), "INPUT_NOT_FOUND"],
    ["that is a page", () => serving(Buffer.from("<!doctype html><title>Sign in</title>")), "INPUT_INVALID"],
    [
      "that is too large",
      () => serving(Buffer.concat([readFileSync(fixture("kohya")), Buffer.alloc(2 * 2 ** 20)])),
      "INPUT_TOO_LARGE",
    ],
    ["that is cut off", () => serving(readFileSync(fixture("kohya")).subarray(0, 100_000)), "LORA_INVALID"],
  ])("fails at once with a file %s", async (_what, listener, code) => {
    site = listener();
    const { status, attempt, error } = await run({ loras: [{ path: url().replace("ink", code) }] });
    expect({ status, attempt, error }).toMatchObject({ status: "failed", attempt: 1, error: { code } });
    expect(JSON.stringify(error)).not.toContain("token");
  });

  it("fails at once for one file under two names", async () => {
    const { status, error } = await run({ loras: ["watercolour", "watercolour.safetensors"] });
    expect([status, error?.code, error?.message]).toEqual([
      "failed",
      "INVALID_JOB",
      expect.stringContaining("are the same LoRA file"),
    ]);
  });

  it.each([
    ["ink", "LORA_NOT_FOUND"],
    ["../sdxl/unet/model.onnx", "LORA_NOT_FOUND"],
    ["https://169.254.169.254/x.safetensors", "INPUT_REFUSED"],
    ["file:///etc/passwd", "INVALID_JOB"],
  ])("fails at once for %s", async (source, code) => {
    expect(await run({ loras: [source] })).toMatchObject({ status: "failed", attempt: 1, error: { code } });
  });
});

function site404(): RequestListener {
  return (_request, response) => void response.writeHead(404).end();
}

/** All chunks of a PNG but its texts, which name what it was made with. */
function pixelsOf(png: Buffer): Buffer[] {
  const data: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") data.push(png.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return data;
}
