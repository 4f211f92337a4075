import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { callHandlers } from "#runtime/calls/testing/handlers.ts";
import { readConfig } from "#runtime/container/config.ts";
import { type Embedded, openEmbedded } from "#runtime/container/embedded.ts";
import { type ContainerProcess, startContainerProcess } from "./support/container-process.ts";

/* Calls are made within a container: what another one has helps only the jobs that it takes. */
let folder: string;
let embedded: Embedded;
let containers: ContainerProcess[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-calls-"));
  embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "observer"));
  containers = [];
});
afterEach(async () => {
  await Promise.all(containers.map((container) => container.kill()));
  await embedded.close();
  await rm(folder, { recursive: true, force: true });
});

function start(workers: string, leaseSeconds = "30"): ContainerProcess {
  const env = { DATA_DIR: folder, HANDLERS_DIR: callHandlers, WORKERS: workers, LEASE_SECONDS: leaseSeconds };
  const container = startContainerProcess(env);
  containers.push(container);
  return container;
}

async function submit(id: string, config: Record<string, unknown> = {}): Promise<void> {
  const job = jobEnvelope.parse({ id, type: "ask", prompt: "a quiet lake", user_id: "ada", config });
  await embedded.source.enqueue(job, { worker: "wan" });
}

const record = (id: string) => embedded.source.get(id);
const status = async (id: string) => (await record(id))?.status;
const within = { timeout: 20_000, interval: 50 };

it("a container without the called worker does without, or leaves the job to one that has it", async () => {
  start("wan");
  await submit("with-fallback", { falls_back: true });
  await expect.poll(() => status("with-fallback"), within).toBe("completed");
  expect((await record("with-fallback"))?.result?.metadata).toMatchObject({ code: "CALL_NOT_OFFERED" });
  await submit("without");
  await expect.poll(async () => (await record("without"))?.attempts.at(-1)?.outcome, within).toBe("released");
  const other = start("wan,middle,chat");
  await expect.poll(() => status("without"), within).toBe("completed");
  const attempts = (await record("without"))?.attempts ?? [];
  expect(attempts.filter(({ outcome }) => outcome !== "released")).toMatchObject([
    { attempt: 1, outcome: "completed" },
  ]);
  // What the called handler logs stands under the job that called it.
  const replying = other
    .log()
    .split("\n")
    .find((line) => line.includes('"replying"'));
  expect(JSON.parse(replying ?? "null")).toMatchObject({ job_id: "without", attempt: 1, executor: "chat" });
}, 60_000);

it("a job whose container is killed while it calls is run elsewhere, and calls again", async () => {
  const trace = join(folder, "trace");
  const lines = async () => (await readFile(trace, "utf8").catch(() => "")).trim().split("\n").filter(Boolean);
  const first = start("wan,chat", "2");
  await submit("killed", { config: { trace, pieces: 20, piece_ms: 50 } });
  await expect.poll(lines, within).toHaveLength(1);
  const second = start("wan,chat", "2");
  await first.kill();
  await expect.poll(() => status("killed"), within).toBe("completed");
  expect(await lines()).toEqual(["ada a quiet lake", "ada a quiet lake"]);
  expect((await record("killed"))?.attempts).toMatchObject([{ outcome: "expired" }, { outcome: "completed" }]);
  expect(second.log()).toContain('"call started"');
}, 60_000);
