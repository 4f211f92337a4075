import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { jobEnvelope } from "#contract/job.ts";
import { decodeFrames } from "#pipelines/video/testing/clips.ts";
import { tryExecutor } from "#runtime/check/executor.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { startContainerProcess } from "./support/container-process.ts";
import { isThere, killNow } from "./support/kill.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "./support/runtime.ts";

/* WAN's job types by a command of the container's own, from the queue to the store, without a model folder. */

vi.setConfig({ testTimeout: 60_000 });

const script = fileURLToPath(new URL("./support/wan-command.mjs", import.meta.url));
const handlers = fileURLToPath(new URL("../handlers", import.meta.url));

interface Run {
  readonly pid: number;
  readonly arguments: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly children: readonly number[];
  /** How the files begin that it was given. */
  readonly seen: readonly string[];
}

let folder: string;
let record: string;
let container: TestRuntime;

const settings = (program: readonly string[] = [process.execPath, script]) => ({
  PATH: process.env.PATH ?? "",
  HANDLERS_DIR: handlers,
  MODELS_DIR: join(folder, "models"),
  WORKERS: "wan",
  WAN_ENGINE: "process",
  WAN_COMMAND: JSON.stringify([...program, `--record=${record}`]),
});

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ourvidz-process-engine-"));
  record = join(folder, "runs.jsonl");
  await mkdir(join(folder, "models"));
  container = await startTestRuntime({ ...settings(), WAN_CKPT_DIR: folder });
});

afterAll(async () => {
  await container.stop();
  await container.remove();
  rmSync(folder, { recursive: true });
});

const small = { size: "64*96", sample_steps: 3 };

function runs(): Run[] {
  if (!existsSync(record)) return [];
  const lines = readFileSync(record, "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

/** The next run that is recorded while `begin` goes on. */
async function recordedOf(begin: () => Promise<unknown>): Promise<Run> {
  const before = runs().length;
  await begin();
  await expect.poll(() => runs().length).toBeGreaterThan(before);
  const run = runs().at(-1);
  if (run === undefined) throw new Error("no run is recorded");
  onTestFinished(() => {
    for (const pid of [run.pid, ...run.children]) killNow(pid);
  });
  return run;
}

async function areThere({ pid, children }: Run): Promise<boolean[]> {
  return await Promise.all([pid, ...children].map(isThere));
}

it("offers what the command stands for, and leaves the rest to others without a fault", () => {
  const { types: _, ...offer } = container.offers.of("wan");
  expect(offer.models).toEqual(["wan"]);
  expect(offer.defaultModelTypes).toEqual(expect.arrayContaining(["image_fast", "video_fast", "wan_generate"]));
  expect(offer.defaultModelTypes).not.toContain("t2v_22");
  expect(container.offers.conditions.every(({ isAbsence }) => isAbsence)).toBe(true);
});

it("video_fast makes a clip, with the job's values in the command's arguments", async () => {
  let id = "";
  const run = await recordedOf(async () => {
    const job = { ...small, frame_num: 11, seed: 5, sample_solver: "unipc", sample_shift: 3, guidance_scale_2: 2 };
    id = await container.submit("video_fast", job, { negative_prompt: "fog", model_variant: "wan" });
  });
  const { status, result } = await container.ended(id);
  expect(status).toBe("completed");
  expect(run.arguments).toMatchObject({
    ...{ task: "t2v-1.3B", ckpt_dir: folder, size: "64*96", frame_num: "9", sample_steps: "3" },
    ...{ sample_guide_scale: "6.5", sample_solver: "unipc", sample_shift: "3", base_seed: "5", prompt: "a quiet lake" },
  });
  expect(result?.assets).toMatchObject([
    { type: "video", mime_type: "video/mp4", metadata: { frames: 9, width: 64, height: 96, encoder: "external" } },
  ]);
  expect(result?.metadata).toMatchObject({
    ...{ engine: "process", frame_num: 9, frame_num_requested: 11, content_type: "video" },
    ...{ ignored: ["guidance_scale_2", "negative_prompt"], parameters: { num_inference_steps: 3 } },
  });
  const file = container.files.locate("video_fast", `anonymous/${id}/0.mp4`);
  expect(await decodeFrames(file, 64, 96)).toHaveLength(9);
});

it("image_fast makes a picture of one frame", async () => {
  const { result } = await container.ended(await container.submit("image_fast", small));
  expect(result?.assets).toMatchObject([
    { type: "image", mime_type: "image/png", metadata: { width: 64, height: 96 } },
  ]);
  expect(result?.metadata).toMatchObject({ content_type: "image", frame_num: 1 });
});

it("a job that is cancelled ends the command and all that it has started, wherever it went", async () => {
  let id = "";
  const run = await recordedOf(async () => {
    id = await container.submit("video_fast", { ...small, frame_num: 5 }, { prompt: "a quiet lake [forks]" });
    await untilEvent(container, id, (event) => event.kind === "progress" && event.step === 3);
  });
  expect(await areThere(run)).toEqual([true, true, true]);
  await container.queue.cancel(id);
  expect(await container.ended(id)).toMatchObject({ status: "cancelled" });
  await expect.poll(() => areThere(run)).toEqual([false, false, false]);
});

it("a job whose time is over ends the command", async () => {
  let id = "";
  const run = await recordedOf(async () => {
    const job = { ...small, frame_num: 5, timeout_seconds: 4 };
    id = await container.submit("video_fast", job, { prompt: "a quiet lake [hangs]" });
  });
  const ended = await container.ended(id);
  expect(ended.attempts[0]).toMatchObject({ error: { code: "TIMED_OUT" } });
  await expect.poll(() => areThere(run)).toEqual([false]);
});

it("what a command leaves running after its clip is gone when the job has ended", async () => {
  let id = "";
  const run = await recordedOf(async () => {
    id = await container.submit("video_fast", { ...small, frame_num: 5 }, { prompt: "a quiet lake [leaves_children]" });
  });
  expect(await container.ended(id)).toMatchObject({ status: "completed" });
  await expect.poll(() => areThere(run)).toEqual([false, false, false]);
});

it("a task that the command's weights are not for is refused for good, in one sentence", async () => {
  const job = { ...small, frame_num: 5, task: "i2v-14B" };
  const { status, attempts } = await container.ended(await container.submit("video_fast", job));
  expect([status, attempts]).toMatchObject([
    "failed",
    [{ error: { code: "UNSUPPORTED_OPTION", message: expect.stringMatching(/runs "t2v-1\.3B": leave the task out/) } }],
  ]);
});

it.each([
  ["i2v", { first_frame: 1 }, ["image"], "start"],
  ["flf2v", { first_frame: 1, last_frame: 1 }, ["first_frame", "last_frame"], "both"],
] as const)(
  "%s has the pictures of the job in the command's arguments, as files",
  async (type, fields, names, mode) => {
    const png = await sharp({ create: { width: 64, height: 96, channels: 3, background: "teal" } })
      .png()
      .toBuffer();
    const server = createServer((_request, response) => response.setHeader("Content-Type", "image/png").end(png));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = z.object({ port: z.number() }).parse(server.address());
    const engine = {
      WAN_COMMAND_TASK: `${type}-14B`,
      WAN_COMMAND_MODELS: type,
      INPUT_HOSTS_ALLOWED: `127.0.0.1:${port}`,
    };
    const other = await startTestRuntime({ ...settings(), ...engine });
    onTestFinished(async () => {
      await other.stop();
      await other.remove();
      server.close();
    });
    let id = "";
    const run = await recordedOf(async () => {
      const pictures = Object.fromEntries(
        Object.keys(fields).map((name) => [name, `http://127.0.0.1:${port}/${name}.png`]),
      );
      id = await other.submit(type, { width: 64, height: 96, steps: 3, frame_num: 5, ...pictures });
    });
    const { result, error } = await other.ended(id);
    expect(error).toBeNull();
    expect(names.map((name) => run.arguments[name])).toEqual(names.map(() => expect.stringContaining(other.folder)));
    expect(run.seen).toEqual(names.map(() => "PNG"));
    expect(result?.metadata).toMatchObject({ reference_mode: mode, reference_path: type, wan_task: `${type}-14B` });
  },
);

it("a command that is not there fails no job: its types are not offered until it is", async () => {
  const program = join(folder, "later.mjs");
  const other = await startTestRuntime(settings([process.execPath, program]));
  onTestFinished(async () => {
    await other.stop();
    await other.remove();
  });
  const id = await other.submit("video_fast", { ...small, frame_num: 5 });
  await expect
    .poll(() => other.offers.conditions)
    .toMatchObject([
      { worker: "wan", kind: "worker", error: { code: "ENGINE_UNAVAILABLE", message: /--help ended with code 1/ } },
    ]);
  expect(other.offers.of("wan").types).toEqual([]);
  await expect.poll(async () => (await other.queue.get(id))?.status).toBe("queued");
  writeFileSync(program, `import ${JSON.stringify(script)};`);
  expect(await other.ended(id)).toMatchObject({ status: "completed", attempt: 1 });
});

it("is tried by validate, in the executor that would run it", async () => {
  const config = (program: string) =>
    readConfig({ ...settings([process.execPath, program]), DATA_DIR: folder }, () => "w");
  expect((await tryExecutor("wan", config(script))).message).toMatch(/^ready after \d+ ms, runs .*wan-command\.mjs/);
  await expect(tryExecutor("wan", config(join(folder, "nowhere.mjs")))).rejects.toMatchObject({
    code: "ENGINE_UNAVAILABLE",
    message: expect.stringMatching(/--help ended with code 1/),
  });
});

it("dies with a container that is killed, has none of its secrets, and the job is done by the next one", async () => {
  const data = mkdtempSync(join(folder, "data-"));
  const secrets = { WAN_WORKER_API_KEY: "a-key-for-tests-0001", JOB_CALLBACK_SECRET: "a-secret-for-tests-0001" };
  const env = { ...settings(), ...secrets, DATA_DIR: data, LEASE_SECONDS: "1" };
  const embedded = await openEmbedded(readConfig({ DATA_DIR: data }, () => "observer"));
  const first = startContainerProcess({ ...env, WAN_COMMAND: env.WAN_COMMAND.replace("]", ',"--behaviour=forks"]') });
  let second: typeof first | undefined;
  onTestFinished(async () => {
    await first.kill();
    await second?.kill();
    await embedded.close();
  });
  const run = await recordedOf(async () => {
    const job = { id: "job", type: "video_fast", prompt: "a quiet lake", config: { ...small, frame_num: 5 } };
    await embedded.source.enqueue(jobEnvelope.parse(job), { worker: "wan" });
  });
  expect(Object.values(run.environment).join("\n")).not.toMatch(/for-tests-0001/);
  await first.kill();
  await expect.poll(() => areThere(run)).toEqual([false, false, false]);
  second = startContainerProcess(env);
  await expect.poll(async () => (await embedded.source.get("job"))?.status, { timeout: 40_000 }).toBe("completed");
  expect(await embedded.source.get("job")).toMatchObject({ attempt: 2 });
});
