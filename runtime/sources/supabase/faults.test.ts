import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import {
  enqueue,
  failure,
  makeJob,
  outcomeOf,
  result,
  settle,
  settleCalls,
  stateAfter,
  take,
  takeOne,
  worker,
} from "#test/conformance/sources/harness.ts";
import type { DoorFault } from "#test/support/supabase/door.ts";
import type { SupabaseSourceOptions } from "./options.ts";
import { createSupabaseSource } from "./supabase-source.ts";
import { openHarness, type SupabaseHarness, useProject } from "./testing/supabase-harness.ts";

/* What happens when the network, the gateway or the database fails in the middle of an operation. */

const shared = useProject();

async function withHarness(
  body: (harness: SupabaseHarness) => Promise<void>,
  options: Partial<SupabaseSourceOptions> = {},
): Promise<void> {
  const harness = await openHarness(shared, { random: () => 0, ...options });
  try {
    await body(harness);
  } finally {
    shared.fault = undefined;
    await harness.close();
  }
}

/** The first call of this function goes wrong in this way. */
async function failingOnce<Result>(name: string, fault: DoorFault, action: () => Promise<Result>): Promise<Result> {
  let happened = 0;
  shared.fault = (path) => {
    if (happened > 0 || !path.endsWith(`/rpc/${name}`)) return undefined;
    happened += 1;
    return fault;
  };
  const answer = await action();
  shared.fault = undefined;
  expect(happened).toBe(1);
  return answer;
}

const page = { status: 502, body: "<html>Bad gateway</html>" };
const busy = {
  status: 503,
  body: { code: "PGRST003", message: "Timed out acquiring connection from the pool", details: null, hint: null },
};
const conflict = { status: 500, body: { code: "40P01", message: "deadlock detected", details: null, hint: null } };
const moved = {
  status: 404,
  body: { code: "42883", message: "function ourvidz.lease_job(jobs, text) does not exist" },
};
const limited = { status: 429, body: { message: "Too many requests" } };

describe.each<readonly [string, DoorFault]>([
  ["a connection that is dropped", "drop"],
  ["an answer that is lost", "lose"],
  ["a page of something in front of the database", page],
  ["a database that is busy", busy],
  ["a deadlock", conflict],
  ["a migration that moved the tables under way", moved],
  ["a limit of requests", limited],
])("%s", (_what, fault) => {
  test("to enqueue: one job, and it is known to be new", () =>
    withHarness(async (harness) => {
      const outcome = await failingOnce("enqueue_job", fault, () => enqueue(harness, "a"));
      expect(outcome).toEqual({ jobId: "a", created: true, position: 1 });
      expect(await take(harness, 5)).toHaveLength(1);
    }));

  test("to take: each job once, uncharged", () =>
    withHarness(async (harness) => {
      for (const id of ["a", "b", "c"]) await enqueue(harness, id);
      const leases = await failingOnce("take_jobs", fault, () => take(harness, 2));
      expect(leases.map(({ jobId, attempt }) => [jobId, attempt])).toEqual([
        ["a", 1],
        ["b", 1],
      ]);
      expect((await take(await harness.second(), 5)).map(({ jobId }) => jobId)).toEqual(["c"]);
      for (const lease of leases) expect(await harness.source.complete(lease, result)).toBe("completed");
    }));

  test("to renew: the lease is held", () =>
    withHarness(async (harness) => {
      await enqueue(harness, "a");
      const lease = await takeOne(harness);
      const renewed = () => harness.source.renew([{ lease, progress: 0.5 }]);
      expect(await failingOnce("renew_leases", fault, renewed)).toEqual(["held"]);
      expect((await harness.queue.get("a"))?.progress).toBe(0.5);
    }));

  test.each(settleCalls)("to %s: it is settled, once", (call) =>
    withHarness(async (harness) => {
      await enqueue(harness, "a");
      const lease = await takeOne(harness);
      expect(await failingOnce("settle_job", fault, () => settle(harness.source, call, lease))).toBe(outcomeOf[call]);
      const record = await harness.queue.get("a");
      expect(record).toMatchObject({ status: stateAfter[call], attempt: call === "release" ? 0 : 1 });
      expect(record?.attempts).toHaveLength(1);
    }),
  );

  test("to cancel: it says what became of the job", () =>
    withHarness(async (harness) => {
      await enqueue(harness, "a");
      expect(await failingOnce("request_cancel", fault, () => harness.queue.cancel("a"))).toBe("cancelled");
      await expect(harness.queue.cancel("a")).rejects.toMatchObject({ code: "JOB_ALREADY_SETTLED" });
    }));

  test("to redrive: the job waits again", () =>
    withHarness(async (harness) => {
      await enqueue(harness, "a");
      await harness.source.fail(await takeOne(harness), failure);
      await failingOnce("redrive_job", fault, () => harness.queue.redrive("a"));
      expect(await harness.queue.get("a")).toMatchObject({ status: "queued", attempt: 0 });
      await expect(harness.queue.redrive("a")).rejects.toMatchObject({ code: "JOB_NOT_FAILED" });
    }));
});

describe("an outage", () => {
  test("of all tries of a take that was applied: the next take gets the job, uncharged", () =>
    withHarness(
      async (harness) => {
        await enqueue(harness, "a");
        shared.fault = (path) => (path.endsWith("/rpc/take_jobs") ? "lose" : undefined);
        await expect(take(harness)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
        shared.fault = undefined;
        expect(await take(harness)).toMatchObject([{ jobId: "a", attempt: 1 }]);
        expect(await take(harness)).toEqual([]);
      },
      { tries: 2 },
    ));

  test("does not end a wait, and what came meanwhile ends it afterwards", () =>
    withHarness(async (harness) => {
      let requests = 0;
      const { promise: secondRequest, resolve } = Promise.withResolvers<void>();
      shared.fault = (path) => {
        if (!path.endsWith("/rpc/due_jobs")) return undefined;
        requests += 1;
        if (requests === 2) resolve();
        return page;
      };
      const other = await harness.second();
      let ended = false;
      const wait = harness.source.waitForChange(60_000, new AbortController().signal, "jobs").then(() => {
        ended = true;
      });
      await secondRequest;
      await enqueue(other, "a");
      expect(ended).toBe(false);
      shared.fault = undefined;
      await wait;
      expect(await take(harness)).toHaveLength(1);
    }));

  test("of a server that takes the request and never answers is noticed in time", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    if (address === null || typeof address === "string") throw new Error("the server has no port");
    const options = { serviceKey: shared.door.secretKey, workerId: "w", requestTimeoutMs: 50, tries: 2 };
    const source = createSupabaseSource({ url: `http://127.0.0.1:${address.port}`, ...options });
    await expect(source.stats()).rejects.toMatchObject({
      code: "QUEUE_UNREACHABLE",
      message: expect.stringContaining("did not answer in time"),
    });
    await source.close();
    silent.close();
  });

  test("of a server that is not there names the address's variable, not the address", async () => {
    const source = createSupabaseSource({
      url: "http://127.0.0.1:1",
      serviceKey: "sb_secret_x",
      workerId: "w",
      tries: 1,
    });
    const error = await source.stats().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "QUEUE_UNREACHABLE", message: expect.stringContaining("SUPABASE_URL") });
    await source.close();
  });
});

describe("a database that is restarted in the middle", () => {
  test("loses nothing and does nothing twice", { timeout: 120_000 }, () =>
    withHarness(
      async (harness) => {
        const ids = Array.from({ length: 60 }, (_, place) => `job-${place}`);
        const settled = new Map<string, number>();
        const { promise: halfWay, resolve } = Promise.withResolvers<void>();
        const sides = [harness, await harness.second(), await harness.second()];
        const work = sides.map(async (side) => {
          while (settled.size < ids.length) {
            for (const lease of await untilItWorks(() => take(side, 2))) {
              const outcome = await untilItWorks(() => side.source.complete(lease, result));
              expect(outcome).toBe("completed");
              settled.set(lease.jobId, (settled.get(lease.jobId) ?? 0) + 1);
              if (settled.size === 20) resolve();
            }
          }
        });
        for (const id of ids) await enqueue(harness, id);
        await halfWay;
        await shared.postgres.restart();
        await Promise.all(work);
        expect([...settled.values()]).toEqual(ids.map(() => 1));
        const { jobs } = await harness.queue.list({ limit: 100 });
        expect(jobs.map((record) => [record.status, record.attempt])).toEqual(ids.map(() => ["completed", 1]));
      },
      { tries: 8 },
    ),
  );
});

/** As the dispatcher and the outbox do: an error that passes is tried again. */
async function untilItWorks<Result>(action: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await action();
    } catch (error) {
      expect(error).toMatchObject({ code: "QUEUE_UNREACHABLE" });
    }
  }
}

describe("what stays wrong", () => {
  const refusals: readonly (readonly [string, Partial<SupabaseSourceOptions>, DoorFault | undefined, string])[] = [
    ["a wrong key", { serviceKey: "sb_secret_wrong" }, undefined, "SUPABASE_SERVICE_KEY"],
    [
      "a project without our migrations",
      {},
      { status: 404, body: { code: "PGRST202", message: "Could not find the function" } },
      "migrations",
    ],
    ["a project over its quota", {}, { status: 402, body: { message: "Project is restricted" } }, "quota"],
    [
      "a database that is read-only",
      {},
      { status: 405, body: { code: "25006", message: "cannot execute in a read-only transaction" } },
      "full or read-only",
    ],
  ];
  test.each(refusals)("%s is reported at once, with what to do", (_what, options, fault, words) =>
    withHarness(async (harness) => {
      shared.fault = () => fault;
      const { source, supabase } = await harness.second(options);
      const error = await source.take([{ worker, slots: 1 }]).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: expect.stringMatching(/CONFIG_INVALID|QUEUE_/),
        message: expect.stringContaining(words),
      });
      expect(JSON.stringify(error) + String(error)).not.toContain(options.serviceKey ?? shared.door.secretKey);
      expect(supabase.requests).toBe(1);
    }),
  );

  test("a key for browsers is refused by the database itself", () =>
    withHarness(async (harness) => {
      const { queue } = await harness.second({ serviceKey: shared.door.publishableKey });
      await expect(queue.stats()).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    }));

  test("a text that the database cannot hold fails the job's enqueuing, not the container", () =>
    withHarness(async (harness) => {
      await expect(enqueue(harness, "a", { prompt: "a\u0000pond" })).rejects.toMatchObject({ code: "INVALID_JOB" });
      await expect(enqueue(harness, "b", { prompt: "\ud800" })).rejects.toMatchObject({ code: "INVALID_JOB" });
    }));

  test("nor does it keep a job from its end", () =>
    withHarness(async (harness) => {
      await enqueue(harness, "a");
      await enqueue(harness, "b");
      const {
        leases: [failed, completed],
      } = await harness.source.take([{ worker, slots: 2 }]);
      if (failed === undefined || completed === undefined) throw new Error("both jobs were due");
      const error = { code: "HANDLER_FAILED", message: "stopped at \0 by \ud83e" } as const;
      expect(await harness.source.fail(failed, error)).toBe("failed");
      const result = { assets: [], metadata: { "note\0": "\ud83e" } };
      expect(await harness.source.complete(completed, result)).toBe("completed");
      expect(await harness.queue.get(failed.jobId)).toMatchObject({
        error: { message: "stopped at \ufffd by \ufffd" },
      });
    }));

  test("a job that is too large is refused before it is sent", () =>
    withHarness(async (harness) => {
      const before = harness.supabase.requests;
      const job = makeJob("a", { prompt: "x".repeat(1_100_000) });
      await expect(harness.queue.enqueue(job, { worker })).rejects.toMatchObject({ code: "BODY_TOO_LARGE" });
      expect(harness.supabase.requests).toBe(before);
    }));

  test("an id that is no UUID is no job", () =>
    withHarness(async ({ supabase }) => {
      expect(await supabase.get("job-1")).toBeNull();
      await expect(supabase.cancel("job-1")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
      await expect(supabase.redrive("job-1")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
      const job = makeJob("job-1");
      await expect(supabase.enqueue(job, { worker })).rejects.toMatchObject({ code: "INVALID_JOB" });
    }));
});
