import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startContainer, type TestContainer, testKey } from "#functions/testing/container.ts";
import { runCli, startCli, temporaryFolder } from "./testing/run-cli.ts";

/* The commands against a container elsewhere, over HTTP. */
let container: TestContainer;
let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  container = await startContainer({ WAN_WORKER_API_KEY: testKey });
  const { url } = await container.listen();
  folder = await temporaryFolder();
  env = { OURVIDZ_URL: url, OURVIDZ_KEY: testKey, DATA_DIR: "" };
});
afterAll(() => container.stop());

async function json(exitCode: number, ...args: string[]) {
  const result = await runCli(folder, [...args, "--json"], env);
  expect({ exitCode: result.exitCode, stderr: result.stderr }).toEqual({ exitCode, stderr: expect.any(String) });
  return JSON.parse(result.stdout);
}

test("a job is enqueued, followed to its end, shown and listed", async () => {
  const enqueued = await json(0, "enqueue", "gated", "a", "quiet", "lake", "--config", '{"size":20}', "--user", "ada");
  expect(enqueued).toMatchObject({ status: "queued", created: true });
  const followed = startCli(folder, ["job", enqueued.job_id, "--follow"], env);
  const { exitCode, stdout, stderr } = await followed.ended;
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("completed") });
  expect(stdout).toMatch(/prompt +a quiet lake/);
  expect(stdout).toMatch(/file +http:\/\/127\.0\.0\.1:\d+\/files\/gated\/ada\/.*signature=/);
  const { jobs } = await json(0, "jobs", "--user", "ada");
  expect(jobs).toMatchObject([{ job_id: enqueued.job_id, status: "completed", config: { size: 20 } }]);
});

test("a failed job is followed with exit code 1, and can be retried", async () => {
  const { job_id } = await json(0, "enqueue", "gated", "a lake", "--config", '{"stumble":"as asked"}');
  expect(await json(1, "job", job_id, "--follow")).toMatchObject({ status: "failed", error: { message: "as asked" } });
  expect(await json(0, "queues")).toMatchObject({ queues: [{ queue: "test_queue", failed: 1 }] });
  expect(await json(0, "retry", job_id)).toEqual({ job_id, status: "queued" });
});

test("a file of this machine is uploaded for the job that names it", async () => {
  await writeFile(join(folder, "dot.gif"), "GIF89a\x01\0\x01\0");
  const named = ["enqueue", "gated", "a lake", "--delay", "600", "--user", "ada", "--input", "reference=@dot.gif"];
  const { job_id } = await json(0, ...named);
  const { metadata } = await json(0, "job", job_id);
  const hash = String(metadata.reference_image_url).slice("input:".length);
  expect(container.runtime.uploads.find("ada", hash)).toMatchObject({ mimeType: "image/gif", sizeBytes: 10 });
  expect(await json(2, ...named.slice(0, -1), "reference=@no.gif")).toMatchObject({
    error: { code: "INVALID_REQUEST" },
  });
});

test("a job is shown and cancelled by the id of its request at an endpoint", async () => {
  const init = { method: "POST", headers: { authorization: testKey, "content-type": "application/json" } };
  const body = JSON.stringify({ input: { type: "gated", prompt: "a lake", config: { gate: join(folder, "never") } } });
  const { id } = JSON.parse(await (await fetch(`${env.OURVIDZ_URL}/v2/lakes/run`, { ...init, body })).text());
  const job_id = id.replace(/-u1$/, "");
  expect(await json(0, "job", id)).toMatchObject({ job_id, prompt: "a lake" });
  expect(await json(0, "cancel", id)).toMatchObject({ job_id });
  expect(await json(1, "job", `sync-${randomUUID()}-u1`)).toMatchObject({ error: { code: "JOB_NOT_FOUND" } });
});

test("a queued job is cancelled", async () => {
  const { job_id } = await json(0, "enqueue", "gated", "a lake", "--delay", "600");
  expect(await json(0, "cancel", job_id)).toMatchObject({ job_id, status: "cancelled" });
  expect(await json(1, "cancel", job_id)).toMatchObject({ error: { code: "JOB_ALREADY_SETTLED" } });
});

test("a key without a container that it is for is refused, unless it stands in the environment", async () => {
  const refused = { error: { code: "INVALID_REQUEST", message: expect.stringContaining("--url") } };
  expect(await json(2, "queues", "--data", folder, "--key", "some-key-of-a-container")).toMatchObject(refused);
  const alone = await runCli(folder, ["queues", "--key", "some-key-of-a-container", "--json"], { DATA_DIR: folder });
  expect(alone.exitCode).toBe(2);
  expect(JSON.parse(alone.stdout)).toMatchObject(refused);
  const other = await runCli(folder, ["handlers", "--json"], { OURVIDZ_KEY: "some-key-of-a-container" });
  expect(other.exitCode).toBe(0);
});

test("what is wrong is reported in the container's words", async () => {
  expect(await json(2, "enqueue", "gated", "a lake", "--config", '{"size":"big"}')).toMatchObject({
    error: { code: "INVALID_JOB", message: expect.stringContaining("config.size") },
  });
  expect(await json(1, "job", "nobody")).toMatchObject({ error: { code: "JOB_NOT_FOUND" } });
  expect(await json(1, "jobs", "--key", "not-a-key-of-this-one")).toMatchObject({ error: { code: "UNAUTHORIZED" } });
  expect(await json(1, "jobs", "--url", "http://127.0.0.1:9")).toMatchObject({ error: { code: "WORKER_UNREACHABLE" } });
  expect(await json(2, "jobs", "--url", "ftp://worker.example")).toMatchObject({ error: { code: "INVALID_REQUEST" } });
  expect(await json(2, "jobs", "--limit", "500")).toMatchObject({ error: { code: "INVALID_REQUEST" } });
});

test("a folder that is named is meant, and commands of this machine refuse an address", async () => {
  expect(await json(1, "jobs", "--data", "nowhere")).toMatchObject({ error: { code: "DATA_FOLDER_UNUSABLE" } });
  expect(await json(2, "validate", "--url", "http://127.0.0.1:9")).toMatchObject({
    error: { code: "INVALID_REQUEST" },
  });
  expect(await json(2, "jobs", "--upstash")).toMatchObject({ error: { code: "INVALID_REQUEST" } });
});
