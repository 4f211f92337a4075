import { randomUUID } from "node:crypto";
import { describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { jobEnvelope } from "#contract/job.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import { openHarness as openSqlite } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { openHarness as openSupabase, useProject } from "#runtime/sources/supabase/testing/supabase-harness.ts";
import { openHarness as openUpstash, useGateway } from "#runtime/sources/upstash/testing/upstash-harness.ts";
import { startEmulator } from "./emulator.ts";
import { player, testKey } from "./testing/emulator.ts";
import { openHome } from "./testing/home.ts";

const painting = { types: ["paint"], defaultModelTypes: ["paint"], models: [] };

/* The queue of an emulated endpoint may be any source; two emulators may share it. */
const project = useProject();
const shared = useGateway();

const sources = {
  async sqlite() {
    const harness = await openSqlite({ durable: false });
    const { source: other } = await harness.second();
    return { sides: [harness.source, other], nowMs: harness.nowMs, close: () => harness.close() };
  },
  async upstash() {
    const harness = await openUpstash(shared.gateway);
    const { source: other } = await harness.second();
    return { sides: [harness.source, other], nowMs: Date.now, close: () => harness.close() };
  },
  async supabase() {
    const harness = await openSupabase(project);
    const { supabase: other } = await harness.second();
    return { sides: [harness.supabase, other], nowMs: Date.now, close: () => harness.close() };
  },
} as const;

const answered = z.looseObject({ id: z.string(), status: z.string() });

describe.each(["sqlite", "upstash", "supabase"] as const)("with the queue of %s", (name) => {
  async function start() {
    const { sides, nowMs, close } = await sources[name]();
    const log = await createLogger({ level: "silent", format: "json" });
    const starting = sides.map(async (source) => {
      const home = await openHome();
      const queue = new JobQueues(new Map([[name, source]]));
      const own = { ...home, source, queue, log, nowMs };
      return { home, emulator: await startEmulator({ ...own, apiKeys: [testKey], host: "127.0.0.1", port: 0 }) };
    });
    const started = await Promise.all(starting);
    onTestFinished(async () => {
      for (const { emulator, home } of started) {
        await emulator.close();
        await home.close();
      }
      await close();
    });
    const [one, two] = started.map(({ emulator: { url } }) => ({
      worker: player(url, "lakes", "pod-1"),
      async call(path: string, body?: object) {
        const headers = { authorization: testKey };
        const init = body === undefined ? { headers } : { headers, method: "POST", body: JSON.stringify(body) };
        return JSON.parse(await (await fetch(`${url}/lakes/${path}`, init)).text());
      },
    }));
    if (one === undefined || two === undefined) throw new Error("there are two sides");
    return { one, two };
  }

  it("a job is run, watched at either emulator, cancelled, retried and counted", async () => {
    const { one, two } = await start();
    const { id } = answered.parse(await one.call("run", { input: { prompt: "a lake" } }));
    expect(id).toMatch(/^[0-9a-f-]{36}-u1$/);
    expect(await two.call(`status/${id}`)).toMatchObject({ id, status: "IN_QUEUE" });
    expect((await two.worker.take()).jobs).toEqual([{ id, input: { prompt: "a lake" } }]);
    expect(await two.worker.done(id, { output: { found: true } })).toBe(200);
    expect(await one.call(`status-sync/${id}`)).toMatchObject({ id, status: "COMPLETED", output: { found: true } });

    const failing = answered.parse(await one.call("run", { input: {} }));
    await one.worker.take();
    await one.worker.done(failing.id, { error: "the lake is dry" });
    expect(await two.call(`status/${failing.id}`)).toMatchObject({ status: "FAILED", error: "the lake is dry" });
    expect(await two.call(`retry/${failing.id}`, {})).toEqual({ id: failing.id, status: "IN_QUEUE" });
    expect(await one.call(`cancel/${failing.id}`, {})).toEqual({ id: failing.id, status: "CANCELLED" });

    const answer = one.call("runsync", { input: {} });
    const [{ id: waited } = { id: "" }] = (await one.worker.take()).jobs;
    expect(waited).toMatch(/^sync-/);
    await one.worker.done(waited, { output: [1] });
    expect(await answer).toMatchObject({ id: waited, status: "COMPLETED", output: [1] });
    expect(await two.call("health")).toMatchObject({ jobs: { completed: 2, inQueue: 0, inProgress: 0 } });
  });

  it("what is announced stays so when one of the same name is started and stopped that no container has asked", async () => {
    const { sides, nowMs, close } = await sources[name]();
    const [source] = sides;
    if (source === undefined) throw new Error("there is a side");
    const home = await openHome();
    onTestFinished(async () => {
      await home.close();
      await close();
    });
    const unoffered = async () => (await source.stats()).flatMap((queue) => queue.unoffered);
    await source.enqueue(jobEnvelope.parse({ id: randomUUID(), type: "paint" }), { worker: "sdxl" });
    expect(await unoffered()).toMatchObject([{ type: "paint" }]);
    await source.announce(new Map([["sdxl", painting]]));
    expect(await unoffered()).toEqual([]);
    const log = await createLogger({ level: "silent", format: "json" });
    const own = { ...home, source, queue: new JobQueues(new Map([[name, source]])), log, nowMs };
    const emulator = await startEmulator({ ...own, apiKeys: [testKey], host: "127.0.0.1", port: 0 });
    await emulator.close();
    expect(await unoffered()).toEqual([]);
  });
});
