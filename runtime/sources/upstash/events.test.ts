import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { faultOnce } from "#gateway/faults.ts";
import { makeJob, take, takeOne } from "#test/conformance/sources/harness.ts";
import type { ChangeKind } from "../job-source.ts";
import { parseEvent } from "./events.ts";
import type { UpstashOptions } from "./options.ts";
import { openHarness, type UpstashHarness, type UpstashSide, useGateway } from "./testing/upstash-harness.ts";

/* How a container hears of changes: by the event stream, and by asking when there is none. */

const shared = useGateway();
const never = new AbortController().signal;
const quickly = { firstMs: 20, withoutEventsMs: 60, cancelMs: 40, timetableMs: 100 };
/** Nothing is looked for while a test runs. */
const rarely = { withEventsMs: 3_600_000, withoutEventsMs: 3_600_000, firstMs: 3_600_000, cancelMs: 3_600_000 };

async function withHarness(
  options: Partial<UpstashOptions>,
  body: (harness: UpstashHarness) => Promise<void>,
): Promise<void> {
  const harness = await openHarness(shared.gateway, { random: () => 0, ...options });
  try {
    await body(harness);
  } finally {
    shared.faults = undefined;
    await harness.close();
  }
}

const push = (id: string) =>
  shared.gateway.client().lpush("sdxl_queue", JSON.stringify({ id, type: "sdxl_image_fast" }));

/** What is not heard of ends a wait after `longMs`; what is, long before, on a busy machine too. */
const [soonMs, longMs] = [8_000, 20_000];

/** Milliseconds from `change` until the wait ended. */
async function woken({ source }: UpstashSide, what: ChangeKind, change: () => Promise<unknown>): Promise<number> {
  const wait = source.waitForChange(longMs, never, what);
  await pause(5);
  const startedMs = performance.now();
  await change();
  await wait;
  return performance.now() - startedMs;
}

/** Until a wait lasts: what was before it has ended one. */
async function settled({ source }: UpstashSide, what: ChangeKind): Promise<void> {
  for (let waitedMs = 0; waitedMs < 100; ) {
    const startedMs = performance.now();
    await source.waitForChange(120, never, what);
    waitedMs = performance.now() - startedMs;
  }
}

async function live({ source }: UpstashSide): Promise<void> {
  while (!source.hearsEvents) await source.waitForChange(5, never, "jobs");
}

describe("with the event stream", () => {
  test("a job is heard of when it is enqueued, and when a producer of any make says something", () =>
    withHarness({ idlePoll: rarely }, async (harness) => {
      await take(harness);
      await live(harness);
      await settled(harness, "jobs");
      const other = await harness.second();
      const job = makeJob("a");
      expect(await woken(harness, "jobs", () => other.queue.enqueue(job, { worker: "sdxl" }))).toBeLessThan(soonMs);
      await take(harness);
      await settled(harness, "jobs");
      await push("b");
      const publish = () => shared.gateway.client().publish("ourvidz:events", "something, anything");
      expect(await woken(harness, "jobs", publish)).toBeLessThan(soonMs);
    }));

  test("another worker's job ends no wait", () =>
    withHarness({ idlePoll: rarely }, async (harness) => {
      await take(harness);
      await live(harness);
      await settled(harness, "jobs");
      const other = await harness.second();
      const wait = harness.source.waitForChange(300, never, "jobs");
      const startedMs = performance.now();
      await other.queue.enqueue(makeJob("video"), { worker: "wan" });
      await wait;
      expect(performance.now() - startedMs).toBeGreaterThan(250);
    }));

  test("a delay is heard of, and ends the wait when it is over", () =>
    withHarness({ idlePoll: rarely }, async (harness) => {
      await push("first");
      await takeOne(harness);
      await live(harness);
      await settled(harness, "jobs");
      const other = await harness.second();
      const enqueue = () => other.queue.enqueue(makeJob("a"), { worker: "sdxl", delaySeconds: 0.4 });
      const waitedMs = await woken(harness, "jobs", enqueue);
      expect(waitedMs).toBeGreaterThan(300);
      expect(waitedMs).toBeLessThan(soonMs);
      expect(await take(harness)).toMatchObject([{ jobId: "a" }]);
    }));

  test("the cancel of a running job reaches its container at once", () =>
    withHarness({ idlePoll: rarely }, async (harness) => {
      await push("a");
      const lease = await takeOne(harness);
      await live(harness);
      await settled(harness, "leases");
      const other = await harness.second();
      expect(await woken(harness, "leases", () => other.queue.cancel("a"))).toBeLessThan(soonMs);
      expect(await harness.source.renew([{ lease }])).toEqual(["cancelled"]);
    }));

  test("the cancel of a job whose take is not answered yet reaches its container when it is", () =>
    withHarness({ idlePoll: rarely }, async (harness) => {
      await take(harness);
      await live(harness);
      const other = await harness.second();
      await other.queue.enqueue(makeJob("a"), { worker: "sdxl" });
      await settled(harness, "jobs");
      const late = { kind: "delay", at: "after", delayMs: 500 } as const;
      shared.faults = faultOnce(late, ({ route }) => route !== "subscribe");
      const taking = takeOne(harness);
      await expect.poll(async () => (await other.queue.get("a"))?.status).toBe("running");
      expect(await other.queue.cancel("a")).toBe("requested");
      const lease = await taking;
      expect(await woken(harness, "leases", async () => {})).toBeLessThan(soonMs);
      expect(await harness.source.renew([{ lease }])).toEqual(["cancelled"]);
    }));

  test("the cancel of a job whose take was never answered reaches its container with the next take", () =>
    withHarness({ idlePoll: rarely, tries: 1 }, async (harness) => {
      await take(harness);
      await live(harness);
      const other = await harness.second();
      await other.queue.enqueue(makeJob("a"), { worker: "sdxl" });
      await settled(harness, "jobs");
      shared.faults = faultOnce({ kind: "drop", at: "after" }, ({ route }) => route !== "subscribe");
      await expect(take(harness)).rejects.toThrow();
      expect(await other.queue.cancel("a")).toBe("requested");
      // So that it has been heard of.
      await settled(harness, "leases");
      const lease = await takeOne(harness);
      expect(await woken(harness, "leases", async () => {})).toBeLessThan(soonMs);
      expect(await harness.source.renew([{ lease }])).toEqual(["cancelled"]);
    }));

  test("the cancel of a job that waits reaches a container without a slot at once", () =>
    withHarness({ idlePoll: rarely }, async (harness) => {
      await push("running");
      await takeOne(harness);
      await live(harness);
      const other = await harness.second();
      await other.queue.enqueue(makeJob("a"), { worker: "sdxl" });
      await settled(harness, "ends");
      expect(await woken(harness, "ends", () => other.queue.cancel("a"))).toBeLessThan(soonMs);
      expect(await harness.source.take([])).toMatchObject({ leases: [], ends: [{ jobId: "a" }] });
    }));

  test("an end that came while it was broken is found when it is back", () =>
    withHarness({ idlePoll: rarely }, async (harness) => {
      const cut = new AbortController();
      shared.faults = ({ route }) => (route === "subscribe" ? { kind: "cut", signal: cut.signal } : undefined);
      await push("running");
      await takeOne(harness);
      const other = await harness.second();
      await other.queue.enqueue(makeJob("a"), { worker: "sdxl" });
      await live(harness);
      await settled(harness, "ends");
      shared.faults = undefined;
      const ends = harness.source.waitForChange(10_000, never, "ends");
      cut.abort();
      while (harness.source.hearsEvents) await pause(5);
      await other.queue.cancel("a");
      await ends;
      expect(await harness.source.take([])).toMatchObject({ leases: [], ends: [{ jobId: "a" }] });
    }));

  test("what happened while it was broken is found when it is back", () =>
    withHarness({ idlePoll: rarely }, async (harness) => {
      const cut = new AbortController();
      shared.faults = ({ route }) => (route === "subscribe" ? { kind: "cut", signal: cut.signal } : undefined);
      await push("held");
      await takeOne(harness);
      await live(harness);
      await settled(harness, "jobs");
      await settled(harness, "leases");
      shared.faults = undefined;
      const jobs = harness.source.waitForChange(10_000, never, "jobs");
      const leases = harness.source.waitForChange(10_000, never, "leases");
      cut.abort();
      while (harness.source.hearsEvents) await pause(5);
      const other = await harness.second();
      await push("missed");
      await other.queue.cancel("held");
      await Promise.all([jobs, leases]);
      expect(await take(harness)).toMatchObject([{ jobId: "missed" }]);
    }));

  test("a server that refuses it is asked again, less and less often", () =>
    withHarness({ idlePoll: quickly }, async (harness) => {
      const askedAtMs: number[] = [];
      shared.faults = ({ route }) => {
        if (route !== "subscribe") return undefined;
        askedAtMs.push(performance.now());
        return { kind: "answer", status: 503, body: "no streams today" };
      };
      await settled(harness, "jobs");
      expect(await woken(harness, "jobs", () => push("a"))).toBeLessThan(soonMs);
      await expect.poll(() => askedAtMs.length).toBeGreaterThanOrEqual(4);
      const [first = 0, second = 0, third = 0, fourth = 0] = askedAtMs;
      // A quarter, a half and a whole second; timers may be a millisecond early.
      expect(second - first).toBeGreaterThan(245);
      expect(third - second).toBeGreaterThan(495);
      expect(fourth - third).toBeGreaterThan(995);
    }));
});

describe("without the event stream", () => {
  const options = { events: false, idlePoll: quickly };

  test("a pushed job is found by looking", () =>
    withHarness(options, async (harness) => {
      await settled(harness, "jobs");
      expect(await woken(harness, "jobs", () => push("a"))).toBeLessThan(soonMs);
      await takeOne(harness);
      await take(harness);
      expect(await woken(harness, "jobs", () => push("b"))).toBeLessThan(soonMs);
    }));

  test("a delay's end is found, also one that another container made", () =>
    withHarness(options, async (harness) => {
      await settled(harness, "jobs");
      const other = await harness.second();
      const enqueue = () => other.queue.enqueue(makeJob("a"), { worker: "sdxl", delaySeconds: 0.4 });
      const waitedMs = await woken(harness, "jobs", enqueue);
      expect(waitedMs).toBeGreaterThan(250);
      expect(waitedMs).toBeLessThan(soonMs);
    }));

  test("the cancel of a running job is found, once", () =>
    withHarness(options, async (harness) => {
      await push("a");
      const lease = await takeOne(harness);
      await settled(harness, "leases");
      const other = await harness.second();
      expect(await woken(harness, "leases", () => other.queue.cancel("a"))).toBeLessThan(soonMs);
      expect(await harness.source.renew([{ lease }])).toEqual(["cancelled"]);
      await settled(harness, "leases");
    }));

  test("looking becomes rare when nothing happens, and nothing is asked when nobody waits", () =>
    withHarness(
      { events: false, idlePoll: { ...quickly, withoutEventsMs: 200, timetableMs: 3_600_000 } },
      async (harness) => {
        await take(harness);
        const before = harness.source.usage().commands;
        await harness.source.waitForChange(1_000, never, "jobs");
        const looks = harness.source.usage().commands - before;
        expect(looks).toBeGreaterThan(2);
        // A second of quick looks would be a hundred; a loaded machine makes fewer.
        expect(looks).toBeLessThan(20);
        // The last look may still be on its way.
        const asked = async () => {
          const after = harness.source.usage().commands;
          await pause(500);
          return harness.source.usage().commands - after;
        };
        await expect.poll(asked).toBe(0);
      },
    ));
});

test.each([
  ["jobs:me:sdxl:1763720960123", { kind: "jobs", origin: "me", worker: "sdxl", dueAtMs: 1763720960123 }],
  ["cancel:me:job-1", { kind: "cancel", origin: "me", jobId: "job-1" }],
  ["jobs:me:sdxl", { kind: "jobs" }],
  ["sdxl_queue", { kind: "jobs" }],
  ["", { kind: "jobs" }],
])("the event %j is understood", (text, event) => {
  expect(parseEvent(text)).toEqual(event);
});
