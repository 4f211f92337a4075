import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { runCli, temporaryFolder } from "./testing/run-cli.ts";

const handlers = fileURLToPath(new URL("../handlers", import.meta.url));

/* The commands with the queues that the environment names. */
let gateway: TestGateway;
let folder: string;
let env: Record<string, string>;
let data: string;

beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());
beforeEach(async () => {
  await gateway.client().flushall();
  folder = await temporaryFolder();
  data = join(folder, "data");
  env = {
    HANDLERS_DIR: handlers,
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
  };
});

async function json(exitCode: number, ...args: string[]) {
  const result = await runCli(folder, [...args, "--json"], env);
  expect({ exitCode: result.exitCode, stderr: result.stderr }).toEqual({ exitCode, stderr: expect.any(String) });
  return JSON.parse(result.stdout);
}

test("a file of this machine, for a queue that others run, is sent to a container: the command says so", async () => {
  const file = fileURLToPath(new URL("../docs/images/tiny-sdxl.webp", import.meta.url));
  const { error } = await json(1, "enqueue", "sdxl_image_fast", "a lake", "--reference", file, "--upstash");
  expect(error).toMatchObject({
    code: "UNSUPPORTED_OPTION",
    message: expect.stringContaining("a container with --url"),
  });
  expect(error.message).not.toContain("PUBLIC_URL");
});

test("a job goes to the queue that is configured, or to the one that an option names", async () => {
  const { job_id } = await json(0, "enqueue", "sdxl_image_fast", "a lake");
  expect(await json(0, "queues")).toMatchObject({ queues: [{ source: "upstash", queued: 1 }] });
  expect(await json(0, "job", job_id, "--upstash")).toMatchObject({ job_id, status: "queued" });
  expect(await json(1, "jobs", "--data", data)).toMatchObject({ error: { code: "DATA_FOLDER_UNUSABLE" } });
  expect(await json(2, "jobs", "--supabase")).toMatchObject({
    error: {
      code: "CONFIG_INVALID",
      message: "--supabase needs SUPABASE_URL and SUPABASE_SERVICE_KEY in the environment.",
    },
  });
  expect(await json(2, "jobs", "--supabase", "--upstash")).toMatchObject({ error: { code: "INVALID_REQUEST" } });
});

test("with two sources, a job is found, cancelled and listed wherever it is", async () => {
  env.SOURCES = "upstash,sqlite";
  const far = await json(0, "enqueue", "sdxl_image_fast", "a lake");
  const near = await json(0, "enqueue", "sdxl_image_fast", "a hill", "--data", data);
  expect((await json(0, "jobs")).jobs).toMatchObject([{ job_id: near.job_id }, { job_id: far.job_id }]);
  const { stdout } = await runCli(folder, ["queues"], env);
  expect(stdout).toMatch(/SOURCE\s+QUEUE.*\n\s*upstash\s+sdxl_queue.*\n\s*sqlite\s+sdxl_queue/);
  for (const { job_id } of [near, far])
    expect(await json(0, "cancel", job_id)).toMatchObject({ job_id, status: "cancelled" });
  expect(await json(1, "job", "nobody")).toMatchObject({ error: { code: "JOB_NOT_FOUND" } });
});

test("with two sources, a folder in which there is nothing yet is left as it is", async () => {
  env.SOURCES = "upstash,sqlite";
  const { job_id } = await json(0, "enqueue", "sdxl_image_fast", "a lake");
  expect((await json(0, "jobs")).jobs).toMatchObject([{ job_id }]);
  expect(await json(1, "jobs", "--data", data)).toMatchObject({ error: { code: "DATA_FOLDER_UNUSABLE" } });
});
