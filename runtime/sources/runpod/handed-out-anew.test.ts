import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import type { JobResult } from "../job-source.ts";
import { openSource, request } from "./testing/open-source.ts";

/* A job that RunPod hands out to a container that still has it: after a stop, its client has had it retried. */

const result: JobResult = { assets: [], metadata: {} };

/** A job that runs while the container waits for another one. */
async function running() {
  const said: unknown[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void said.push(JSON.parse(line).msg) });
  const { server, source, takeOne } = await openSource({ maxConcurrency: 2, log });
  server.give({ id: "a", input: { prompt: "a lake" } });
  const lease = await takeOne();
  const times = (words: string) => said.filter((line) => String(line).includes(words)).length;
  const stop = async (count = 1) => {
    server.stop("a");
    await expect.poll(() => times("has stopped the job")).toBe(count);
  };
  const giveAnew = async () => {
    await source.take(request());
    const over = new AbortController();
    onTestFinished(() => over.abort());
    void source.waitForChange(60_000, over.signal, "jobs");
    server.give({ id: "a", input: { prompt: "a hill" } });
    await expect.poll(() => times("that is here already")).toBe(1);
    expect((await source.take(request())).leases).toEqual([]);
  };
  return { server, source, takeOne, lease, stop, giveAnew };
}

it.each(["cancelled", "release"] as const)(
  "waits while its stopped attempt winds down, and runs then (%s)",
  async (end) => {
    const { server, source, takeOne, lease, stop, giveAnew } = await running();
    await stop();
    await giveAnew();
    expect(await source[end](lease)).toBe("cancelled");
    const anew = await takeOne();
    expect(anew).toMatchObject({ jobId: "a", attempt: 1, job: { prompt: "a hill" } });
    expect(await source.complete(lease, result)).toBe("lost");
    expect(await source.complete(anew, result)).toBe("completed");
    expect(server.bodies("a")).toHaveLength(1);
  },
);

it("runs also where the take brought it before the other channel brought the stop", async () => {
  const { source, takeOne, lease, stop, giveAnew } = await running();
  await giveAnew();
  await stop();
  expect(await source.renew([{ lease }])).toEqual(["cancelled"]);
  expect(await source.cancelled(lease)).toBe("cancelled");
  expect((await takeOne()).job).toMatchObject({ prompt: "a hill" });
});

it("is still heard of by the channel of stops: the next one ends what runs then", async () => {
  const { source, takeOne, lease, stop, giveAnew } = await running();
  await stop();
  await giveAnew();
  await source.cancelled(lease);
  const anew = await takeOne();
  await stop(2);
  expect(await source.renew([{ lease: anew }])).toEqual(["cancelled"]);
});

it("does not run once its client has cancelled it again meanwhile", async () => {
  const { source, lease, stop, giveAnew } = await running();
  await stop();
  await giveAnew();
  await stop(2);
  await source.cancelled(lease);
  expect((await source.take(request())).leases).toEqual([]);
});

it("does not run where nothing was stopped: the end of what is here is its end", async () => {
  const { server, source, lease, giveAnew } = await running();
  await giveAnew();
  expect(await source.complete(lease, result)).toBe("completed");
  expect((await source.take(request())).leases).toEqual([]);
  expect(server.bodies("a")).toHaveLength(1);
});
