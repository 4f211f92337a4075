import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { type Embedded, openEmbedded } from "#runtime/container/embedded.ts";
import { type ContainerProcess, startContainerProcess } from "./support/container-process.ts";
import { isThere, killNow, processesNaming, watchdogOf } from "./support/kill.ts";

/*
 * Nothing outlives its owner: a container's executors die with it, and what a handler has spawned with its attempt, however
 * it was spawned (see the handler), whatever it ignores, and also when the executor's thread is blocked.
 * Every process of a test names its folder on the command line.
 */
const handlers = fileURLToPath(new URL("./support/containment-handlers", import.meta.url));
const within = { timeout: 20_000, interval: 50 };
/** The executor, and of five programs the shell and what it runs. */
const all = 1 + 2 * 5;

let folder: string;
let file: string;
let embedded: Embedded;
let container: ContainerProcess;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-containment-"));
  file = join(folder, "looked-at");
  await writeFile(file, "");
  embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "observer"));
});

afterEach(async () => {
  container.signal("SIGCONT");
  await container.kill();
  for (const pid of await processesNaming(folder)) killNow(pid);
  await embedded.close();
  await rm(folder, { recursive: true, force: true });
});

/** A container that runs a job which has spawned what it spawns. */
async function spawned(ending: string, env: Record<string, string> = {}): Promise<void> {
  container = startContainerProcess({ DATA_DIR: folder, HANDLERS_DIR: handlers, ABORT_GRACE_SECONDS: "0.5", ...env });
  const config = { file, ending };
  const job = jobEnvelope.parse({ id: "job", type: "spawner", prompt: "a quiet lake", user_id: "ada", config });
  await embedded.source.enqueue(job, { worker: "test" });
  await expect.poll(async () => (await embedded.source.get("job"))?.attempt, { timeout: 20_000 }).toBe(1);
  if (ending === "block" || ending === "obey")
    await expect.poll(() => processesNaming(folder), { timeout: 20_000 }).toHaveLength(all);
  if (ending === "block") await expect.poll(() => existsSync(`${file}.blocked`)).toBe(true);
}

const spawnedPrograms = () => processesNaming(file);

async function executors(): Promise<number[]> {
  return (await readFile(file, "utf8")).trim().split("\n").map(Number);
}

describe("the end of a container whose handler blocks its thread", () => {
  it("by SIGKILL leaves no process", async () => {
    await spawned("block");
    await container.kill();
    await expect.poll(() => processesNaming(folder), within).toEqual([]);
  });

  it("by a second SIGTERM leaves no process", async () => {
    await spawned("block");
    container.signal("SIGTERM");
    await expect.poll(() => container.log()).toContain("no more jobs are taken");
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await container.stop()).toBe(143);
    await expect.poll(() => processesNaming(folder), within).toEqual([]);
  });

  it("by SIGKILL while it is stopped leaves no process", async () => {
    await spawned("block");
    container.signal("SIGSTOP");
    await container.kill();
    await expect.poll(() => processesNaming(folder), within).toEqual([]);
  });

  it("leaves no process when its watchdog was killed before", async () => {
    await spawned("block");
    const first = await watchdogOf(container.pid);
    if (first === undefined) throw new Error("the container has no watchdog");
    killNow(first);
    await expect.poll(() => watchdogOf(container.pid), within).toSatisfy((pid) => pid !== undefined && pid !== first);
    await container.kill();
    await expect.poll(() => processesNaming(folder), within).toEqual([]);
  });
});

describe("a watchdog that is stopped", () => {
  it("is replaced, and the new one does what it is for", async () => {
    await spawned("block");
    const first = (await watchdogOf(container.pid)) ?? 0;
    // One that has answered once is given up after seconds.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    process.kill(first, "SIGSTOP");
    const isOther = (pid: number | undefined) => pid !== undefined && pid !== first;
    await expect.poll(() => watchdogOf(container.pid), { timeout: 40_000, interval: 100 }).toSatisfy(isOther);
    await container.kill();
    await expect.poll(() => processesNaming(folder), within).toEqual([]);
  }, 60_000);

  it("and is left behind, is killed by the next container on the data folder", async () => {
    await spawned("block");
    const watchdog = (await watchdogOf(container.pid)) ?? 0;
    process.kill(watchdog, "SIGSTOP");
    await container.kill();
    expect(await isThere(watchdog)).toBe(true);
    container = startContainerProcess({ DATA_DIR: folder, HANDLERS_DIR: handlers });
    await expect.poll(() => isThere(watchdog), { timeout: 20_000 }).toBe(false);
    await expect.poll(spawnedPrograms, within).toEqual([]);
  }, 60_000);
});

describe("a job whose container, or executor, is stopped for longer than its lease", () => {
  /** The job runs anew, its attempt not charged, and nobody is put into quarantine for it. */
  async function expectNobodysFault(): Promise<void> {
    const [executor] = await executors();
    await expect.poll(async () => (await embedded.source.get("job"))?.status, { timeout: 20_000 }).toBe("completed");
    expect((await executors()).at(-1)).not.toBe(executor);
    const attempts = (await embedded.source.get("job"))?.attempts ?? [];
    expect(attempts.map(({ error }) => error?.code ?? null)).not.toContain("EXECUTOR_CRASHED");
    expect(attempts.map(({ outcome }) => outcome)).toEqual([
      expect.stringMatching(/^(released|expired)$/),
      "completed",
    ]);
    expect(container.log()).not.toContain("let others' go first");
  }

  it("by a stop of the container, which loses its executors", async () => {
    await spawned("block", { LEASE_SECONDS: "1" });
    container.signal("SIGSTOP");
    await expect.poll(() => processesNaming(folder), within).toEqual([]);
    container.signal("SIGCONT");
    await expectNobodysFault();
  });

  it("by a stop of the executor alone", async () => {
    await spawned("block", { LEASE_SECONDS: "1" });
    const [executor = 0] = await executors();
    process.kill(executor, "SIGSTOP");
    await expectNobodysFault();
    expect(container.log()).toContain("the executor was stopped for too long");
    await expect.poll(spawnedPrograms, within).toEqual([]);
  });
});

describe("what a container that was killed together with its watchdog has left", () => {
  it("is killed by the next one that starts on its data folder, and by no other", async () => {
    await spawned("block");
    const watchdog = await watchdogOf(container.pid);
    container.signal("SIGSTOP");
    killNow(watchdog ?? 0);
    await container.kill();
    const elsewhere = await mkdtemp(join(tmpdir(), "ourvidz-elsewhere-"));
    const other = startContainerProcess({ DATA_DIR: elsewhere, HANDLERS_DIR: handlers });
    await expect.poll(() => other.log(), { timeout: 20_000 }).toContain("the container is up");
    expect(await processesNaming(folder)).toHaveLength(all);
    await other.kill();
    await rm(elsewhere, { recursive: true, force: true });

    const [executor] = await executors();
    container = startContainerProcess({ DATA_DIR: folder, HANDLERS_DIR: handlers });
    await expect.poll(() => container.log(), { timeout: 20_000 }).toContain("had left processes running");
    await expect.poll(spawnedPrograms, within).toEqual([]);
    expect(await processesNaming(folder)).not.toContain(executor);
  });

  it("is killed by its executor, where that one's thread is free", async () => {
    await spawned("obey");
    const watchdog = await watchdogOf(container.pid);
    container.signal("SIGSTOP");
    killNow(watchdog ?? 0);
    await container.kill();
    await expect.poll(() => processesNaming(folder), within).toEqual([]);
  });

  it("is left alone while that container lives", async () => {
    await spawned("block");
    const second = startContainerProcess({ DATA_DIR: folder, HANDLERS_DIR: handlers });
    await expect.poll(() => second.log(), { timeout: 20_000 }).toContain("the container is up");
    expect(await processesNaming(file)).toHaveLength(all - 1);
    await second.kill();
  });
});

describe("what a handler has spawned", () => {
  it("dies with a cancel that the handler obeys, and its executor lives on", async () => {
    await spawned("obey", { ABORT_GRACE_SECONDS: "20" });
    await embedded.source.cancel("job");
    await expect.poll(spawnedPrograms, within).toEqual([]);
    expect(await processesNaming(folder)).toEqual(await executors());
  });

  it("dies with a cancel that cannot reach the handler", async () => {
    await spawned("block");
    await embedded.source.cancel("job");
    await expect.poll(spawnedPrograms, within).toEqual([]);
  });

  it.each(["exit", "throw"])("dies with an attempt that ends by %s", async (ending) => {
    await spawned(ending);
    await expect.poll(async () => (await embedded.source.get("job"))?.status, { timeout: 20_000 }).toBe("completed");
    expect(await embedded.source.get("job")).toMatchObject({ attempt: 2 });
    await expect.poll(spawnedPrograms, within).toEqual([]);
  });

  it("dies with its executor also when the watchdog is down at that moment", async () => {
    await spawned("block");
    const [executor = 0] = await executors();
    killNow((await watchdogOf(container.pid)) ?? 0);
    killNow(executor);
    await expect.poll(spawnedPrograms, within).toEqual([]);
  });

  it("dies with an attempt that has forgotten it", async () => {
    await spawned("return");
    await expect.poll(async () => (await embedded.source.get("job"))?.status, { timeout: 20_000 }).toBe("completed");
    expect(await spawnedPrograms()).toEqual([]);
    expect(container.log()).toContain("what the handler had spawned was still running");
  });
});
