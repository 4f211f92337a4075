import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeHub, type HubOptions } from "#test/support/hub.ts";
import { otherFiles, sdxlWithWeights, smallChat, smallSdxl } from "#test/support/hub-repository.ts";
import { runCli, startCli, temporaryFolder } from "./testing/run-cli.ts";

const tinySdxl = fileURLToPath(new URL("../models/tiny-sdxl", import.meta.url));
const handlers = fileURLToPath(new URL("../handlers", import.meta.url));
/** One that was free a moment ago. */
async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return String(typeof address === "object" ? address?.port : undefined);
}

const token = "hf_aTokenOfNobodyAtAll1234";
const repo = "somebody/small-sdxl";

let folder: string;
let models: string;
let env: Record<string, string>;

beforeEach(async () => {
  folder = await temporaryFolder();
  models = join(folder, "models");
  env = { MODELS_DIR: models, HANDLERS_DIR: handlers };
});

describe("pull", { timeout: 120_000 }, () => {
  let hub: FakeHub;
  let files: Record<string, Uint8Array>;

  async function startHub(options: HubOptions = {}): Promise<void> {
    await hub?.stop().catch(() => undefined);
    hub = await FakeHub.start({ token, ...options });
    hub.put(repo, { files: { ...files, ...otherFiles() }, access: "gated" });
    env = { ...env, HF_ENDPOINT: hub.url, HF_TOKEN: token };
  }
  beforeEach(async () => {
    files = await sdxlWithWeights(20_000_000);
    await startHub();
  });
  afterEach(() => hub.stop());

  test("fetches a model that draws, says what and how large it is, and never shows the token", async () => {
    files = await smallSdxl();
    await startHub();
    const pulled = await runCli(folder, ["models", "pull", repo, "--as", "sdxl"], env);
    expect(pulled).toMatchObject({ exitCode: 0, stdout: `${join(models, "sdxl")}: ready, 3.2 MB\n` });
    expect(pulled.stderr).toMatch(/^somebody\/small-sdxl at [0-9a-f]{12}: 23 files, 3\.2 MB; [\d.]+ [GT]B are free\n/);
    expect(pulled.stderr).toContain("Its weights take 2.4 MB of memory on a GPU, 2.4 MB on a CPU.");
    const drawn = await runCli(
      folder,
      ["run", "sdxl_image_fast", "a red apple", "--steps", "1", "--size", "64x64", "--json"],
      env,
    );
    expect(drawn).toMatchObject({ exitCode: 0 });
    const again = await runCli(folder, ["models", "pull", repo, "--as", "sdxl", "--json"], env);
    expect(JSON.parse(again.stdout)).toMatchObject({
      name: "sdxl",
      repo,
      revision: "main",
      commit: hub.commitOf(repo),
      fetched: false,
    });
    expect([pulled, again].map(({ stdout, stderr }) => stdout + stderr).join()).not.toContain(token);
  });

  test("fetches a language model in one precision, under the name that chats want", async () => {
    hub.put("somebody/small-chat", { files: await smallChat() });
    const given = ["models", "pull", "somebody/small-chat", "--as", "chat"];
    const pulled = await runCli(folder, [...given, "--precision", "fp32"], env);
    expect(pulled).toMatchObject({ exitCode: 0 });
    expect(pulled.stdout.startsWith(`${join(models, "chat")}: ready, fp32, `)).toBe(true);
    expect(pulled.stderr).toMatch(/^somebody\/small-chat at [0-9a-f]{12} in fp32: 6 files, [\d.]+ [kM]B; /);
    const answered = await runCli(folder, ["run", "chat", "hello", "--json"], env);
    expect(answered).toMatchObject({ exitCode: 0 });
    const refused = await runCli(folder, [...given, "--precision", "fp16", "--json"], env);
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: "INVALID_REQUEST" } });
  });

  test("is finished by the same command, whenever it is killed", async () => {
    await startHub({ bytesPerSecond: 5_000_000 });
    // `PULL_KILLS=20 npx vitest run cli/models.test.ts` for more of them.
    const count = Number(process.env.PULL_KILLS ?? 5);
    for (let kills = 0; kills < count; kills++) {
      const { child, ended, seen } = startCli(folder, ["models", "pull", repo], env);
      await seen(/files, 21\.5 MB/);
      const sent = hub.bytesSent + 50_000 + (kills * 15_000_000) / count ** 2;
      await expect.poll(() => hub.bytesSent, { interval: 5 }).toBeGreaterThan(sent);
      child.kill("SIGKILL");
      expect(await ended).toMatchObject({ signal: "SIGKILL" });
      expect(await readdir(models)).toEqual([".pulling"]);
    }
    await startHub();
    const last = await runCli(folder, ["models", "pull", repo, "--json"], env);
    expect(last).toMatchObject({ exitCode: 0 });
    expect(await readdir(models)).toEqual(["small-sdxl"]);
    for (const [path, content] of Object.entries(files))
      expect((await readFile(join(models, "small-sdxl", path))).equals(content), path).toBe(true);
    expect(hub.requests.some(({ range }) => range !== undefined)).toBe(true);
  });

  test("stops at Ctrl-C and says that it goes on", async () => {
    await startHub({ bytesPerSecond: 2_000_000 });
    const { child, ended, seen } = startCli(folder, ["models", "pull", repo], env);
    await seen("are free");
    child.kill("SIGINT");
    const result = await ended;
    expect(result).toMatchObject({ exitCode: 130, stdout: "" });
    expect(result.stderr).toContain("The same command goes on from here.");
  });

  test("waits for another one that fetches the same model, and says how far that is", async () => {
    await startHub({ bytesPerSecond: 4_000_000 });
    const first = startCli(folder, ["models", "pull", repo], env);
    await first.seen("are free");
    const second = await runCli(folder, ["models", "pull", repo, "--json"], env);
    expect(second.stderr).toMatch(/another process fetches it already.*: waiting for process \d+ on /);
    expect(JSON.parse(second.stdout)).toMatchObject({ fetched: false });
    expect(await first.ended).toMatchObject({ exitCode: 0 });
    expect(hub.requestsFor("unet/model.onnx_data")).toHaveLength(2);
  });

  test.each([
    [["models", "pull", "no/such/name"], /names no repository/],
    [["models", "pull", repo, "--as", "../up"], /is not a model's name/],
    [["models", "pull"], /missing required argument 'repository'/i],
  ])("refuses %j", async (args, message) => {
    const result = await runCli(folder, args, env);
    expect(result).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(message) });
    expect(hub.requests).toEqual([]);
  });

  test("of a gated repository names the page where its terms are accepted", async () => {
    const { HF_TOKEN: _none, ...open } = env;
    const result = await runCli(folder, ["models", "pull", repo, "--json"], open);
    expect(result.exitCode).toBe(1);
    const { error } = JSON.parse(result.stdout);
    expect(error).toMatchObject({ code: "HUB_REFUSED", message: expect.stringContaining(`${hub.url}/${repo}`) });
  });

  test("verify finds what has changed since, and remove deletes", async () => {
    await runCli(folder, ["models", "pull", repo], env);
    expect(await runCli(folder, ["models", "verify", "small-sdxl"], env)).toMatchObject({
      exitCode: 0,
      stdout: "all 24 files are as they came\n",
    });
    const path = join(models, "small-sdxl");
    await writeFile(join(path, "unet/model.onnx_data"), Buffer.alloc(20_000_000));
    await truncate(join(path, "vae_decoder/model.onnx"), 5);
    await rm(join(path, "tokenizer/vocab.json"));
    const verified = await runCli(folder, ["models", "verify", "small-sdxl", "--json"], env);
    expect(verified.exitCode).toBe(1);
    const { changed } = JSON.parse(verified.stdout);
    expect(
      Object.fromEntries(changed.map((each: { path: string; problem: string }) => [each.path, each.problem])),
    ).toEqual({
      "unet/model.onnx_data": "content",
      "vae_decoder/model.onnx": "size",
      "tokenizer/vocab.json": "missing",
    });
    const unasked = await runCli(folder, ["models", "remove", "small-sdxl"], env);
    expect(unasked).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("add --yes") });
    expect(await readdir(models)).toEqual(["small-sdxl"]);
    expect(await runCli(folder, ["models", "remove", "small-sdxl", "--yes"], env)).toMatchObject({ exitCode: 0 });
    expect(await readdir(models)).toEqual([]);
  });
});

describe("info, verify and remove of a folder of one's own", () => {
  beforeEach(async () => {
    await mkdir(models);
    await cp(tinySdxl, join(models, "mine"), { recursive: true });
    await writeFile(join(models, "aliases.json"), '{"sdxl": "mine"}');
  });

  test("info says what it is, whom it serves and what it takes", async () => {
    const text = await runCli(folder, ["models", "info", "sdxl"], env);
    expect(text).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/kind +StableDiffusionXLPipeline/) });
    const { stdout } = await runCli(folder, ["models", "info", "mine", "--json"], env);
    expect(JSON.parse(stdout)).toMatchObject({
      name: "mine",
      aliases: ["sdxl"],
      class_name: "StableDiffusionXLPipeline",
      worker: "sdxl",
      job_types: expect.arrayContaining(["sdxl_image_fast", "sdxl_image_high"]),
      default_of: expect.arrayContaining(["sdxl_image_fast"]),
      source: null,
      problems: [],
    });
    const { parts, memory } = JSON.parse(stdout);
    const unet = parts.find(({ name }: { name: string }) => name === "unet");
    const half: number = unet.weight_bytes.float16;
    expect(half).toBeGreaterThan(0.9 * unet.size_bytes);
    expect(memory.cpu_bytes - memory.gpu_bytes).toBeGreaterThanOrEqual(half);
  });

  test("verify looks at the structure of what was not fetched", async () => {
    expect(await runCli(folder, ["models", "verify", "mine"], env)).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("nothing to compare its content with"),
    });
  });

  test("remove leaves what a container has in memory, unless that is wanted", { timeout: 60_000 }, async () => {
    const port = await freePort();
    const withPort = { ...env, PORT: port, WORKERS: "sdxl", WAN_WORKER_API_KEY: "a-key-for-this-test" };
    const container = startCli(folder, ["start"], { ...withPort, WARM_MODELS: "mine" });
    await container.seen("a model is warm");
    const refused = await runCli(folder, ["models", "remove", "mine"], withPort);
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/has mine in memory \(sdxl\)/) });
    expect(await readdir(models)).toContain("mine");
    expect(await runCli(folder, ["models", "remove", "mine", "--yes"], withPort)).toMatchObject({ exitCode: 0 });
    container.child.kill("SIGTERM");
    await container.ended;
  });

  test("remove takes no alias for a folder, and knows what is missing", async () => {
    expect(await runCli(folder, ["models", "remove", "sdxl", "--yes"], env)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/"sdxl" stands for "mine"/),
    });
    expect(await runCli(folder, ["models", "info", "nothing"], env)).toMatchObject({ exitCode: 1 });
    const removed = await runCli(folder, ["models", "remove", "mine", "--yes"], env);
    expect(removed).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("sdxl") });
    // What a command that was killed has left is gone too; a model that is being fetched stays.
    const [aside, fetched] = [`removed-${randomUUID()}`, "removed-by-hand"].map((name) =>
      join(models, ".pulling", name),
    );
    for (const path of [aside, fetched]) await mkdir(join(path ?? "", "unet"), { recursive: true });
    await runCli(folder, ["models"], env);
    expect(await readdir(join(models, ".pulling"))).toEqual(["removed-by-hand"]);
  });
});
