import { describe, expect, test } from "vitest";
import type { Fault, FaultRequest } from "#gateway/faults.ts";
import { badGateway, faultOnce, tooManyRequests } from "#gateway/faults.ts";
import {
  failure,
  makeJob,
  outcomeOf,
  result,
  settle,
  settleCalls,
  stateAfter,
  take,
  takeOne,
} from "#test/conformance/sources/harness.ts";
import { loadScript, type ScriptName } from "./scripts.ts";
import { openHarness, type UpstashHarness, useGateway } from "./testing/upstash-harness.ts";

/* What happens when the network, the server or the plan fails in the middle of an operation. */

const shared = useGateway();

async function withHarness(body: (harness: UpstashHarness) => Promise<void>, options = {}): Promise<void> {
  const harness = await openHarness(shared.gateway, { events: false, random: () => 0, ...options });
  try {
    await body(harness);
  } finally {
    shared.faults = undefined;
    await harness.close();
  }
}

/** A request that runs this script, by its hash or whole. */
function runs(name: ScriptName): (request: FaultRequest) => boolean {
  const { sha, text } = loadScript(name);
  return ({ commands }) => {
    const script = commands[0]?.[1]?.toString();
    return script === sha || script === text;
  };
}

/** The script's answer is lost once, after everything was applied. */
async function losingTheAnswerOf<Result>(name: ScriptName, action: () => Promise<Result>): Promise<Result> {
  let lost = 0;
  const isScript = runs(name);
  shared.faults = (request) => {
    // By the hash it may be unknown, and then nothing was applied.
    if (lost > 0 || !isScript(request) || request.commands[0]?.[0]?.toString().toLowerCase() !== "evalsha") return;
    lost += 1;
    return { kind: "drop", at: "after" };
  };
  const answer = await action();
  shared.faults = undefined;
  expect(lost).toBe(1);
  return answer;
}

describe("an answer that is lost", () => {
  test("to take: the leases are answered again, to this container and nobody else", () =>
    withHarness(async (harness) => {
      await take(harness);
      for (const id of ["a", "b", "c"]) await harness.queue.enqueue(makeJob(id), { worker: "sdxl" });
      const leases = await losingTheAnswerOf("take", () => take(harness, 2));
      expect(leases.map(({ jobId, attempt }) => [jobId, attempt]).toSorted()).toEqual([
        ["a", 1],
        ["b", 1],
      ]);
      expect((await take(await harness.second(), 5)).map(({ jobId }) => jobId)).toEqual(["c"]);
      for (const lease of leases) expect(await harness.source.complete(lease, result)).toBe("completed");
      expect(await take(harness, 5)).toEqual([]);
    }));

  test("to every try of take: the next take gets the leases", () =>
    withHarness(
      async (harness) => {
        await take(harness);
        await harness.queue.enqueue(makeJob("a"), { worker: "sdxl" });
        const isTake = runs("take");
        shared.faults = (request) => (isTake(request) ? { kind: "drop", at: "after" } : undefined);
        await expect(take(harness)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
        shared.faults = undefined;
        expect(await take(harness)).toMatchObject([{ jobId: "a", attempt: 1 }]);
        expect(await take(harness)).toEqual([]);
      },
      { tries: 2 },
    ));

  test("to take of pushed elements: none is lost and none is filed twice", () =>
    withHarness(async (harness) => {
      await take(harness);
      const client = shared.gateway.client();
      for (const id of ["a", "b", "c"]) await client.lpush("sdxl_queue", { id, type: "sdxl_image_fast" });
      const first = await losingTheAnswerOf("take", () => take(harness, 1));
      const rest = await take(harness, 9);
      expect([...first, ...rest].map(({ jobId }) => jobId)).toEqual(["a", "b", "c"]);
    }));

  test.each(settleCalls)("to %s: it is settled, once", (call) =>
    withHarness(async (harness) => {
      const { source, queue } = harness;
      await settle(source, call, { jobId: "nobody", token: "none", attempt: 1 });
      await queue.enqueue(makeJob("a"), { worker: "sdxl" });
      const lease = await takeOne(harness);
      expect(await losingTheAnswerOf(call, () => settle(source, call, lease))).toBe(outcomeOf[call]);
      const record = await queue.get("a");
      expect(record).toMatchObject({ status: stateAfter[call], attempt: call === "release" ? 0 : 1 });
      expect(record?.attempts).toHaveLength(1);
    }),
  );

  test("to renew: the lease is held", () =>
    withHarness(async (harness) => {
      await harness.queue.enqueue(makeJob("a"), { worker: "sdxl" });
      const lease = await takeOne(harness);
      shared.faults = faultOnce({ kind: "drop", at: "after" });
      expect(await harness.source.renew([{ lease, progress: 0.5 }])).toEqual(["held"]);
      expect(await harness.queue.get("a")).toMatchObject({ progress: 0.5 });
    }));

  test("to enqueue: the job was created by this call", () =>
    withHarness(async ({ queue }) => {
      await queue.enqueue(makeJob("first"), { worker: "wan" });
      const options = { worker: "sdxl", idempotencyKey: "order-1" };
      const outcome = await losingTheAnswerOf("enqueue", () => queue.enqueue(makeJob("a"), options));
      expect(outcome).toEqual({ jobId: "a", created: true, position: 1 });
      expect(await queue.enqueue(makeJob("a"), options)).toEqual({ jobId: "a", created: false, position: 1 });
    }));

  test("to cancel: the job was cancelled by this call", () =>
    withHarness(async ({ queue }) => {
      await queue.enqueue(makeJob("a"), { worker: "sdxl" });
      await expect(queue.cancel("nobody")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
      expect(await losingTheAnswerOf("cancel", () => queue.cancel("a"))).toBe("cancelled");
      await expect(queue.cancel("a")).rejects.toMatchObject({ code: "JOB_ALREADY_SETTLED" });
    }));

  test("to a take with ends: they are answered again, to this container and nobody else", () =>
    withHarness(async (harness) => {
      const { queue, source } = harness;
      await take(harness);
      for (const id of ["a", "b"]) await queue.enqueue(makeJob(id), { worker: "sdxl" });
      for (const id of ["a", "b"]) await queue.cancel(id);
      const takeEnds = async () => (await source.take([{ worker: "sdxl", slots: 1 }])).ends;
      const ends = await losingTheAnswerOf("take", takeEnds);
      expect(ends.map(({ jobId }) => jobId).toSorted()).toEqual(["a", "b"]);
      expect(await takeEnds()).toEqual([]);
      const other = await harness.second();
      expect((await other.source.take([{ worker: "sdxl", slots: 1 }])).ends).toEqual([]);
      shared.faults = faultOnce({ kind: "drop", at: "after" });
      await source.reported(ends);
      await harness.hasten(harness.source.leaseSeconds * 1000 + 1);
      expect(await takeEnds()).toEqual([]);
    }));

  test("to a cancel: its end is answered once", () =>
    withHarness(async (harness) => {
      await harness.queue.enqueue(makeJob("first"), { worker: "wan" });
      await harness.queue.cancel("first");
      await harness.queue.enqueue(makeJob("a"), { worker: "sdxl" });
      await losingTheAnswerOf("cancel", () => harness.queue.cancel("a"));
      const { ends } = await harness.source.take([{ worker: "sdxl", slots: 1 }]);
      expect(ends.map(({ jobId }) => jobId)).toEqual(["first", "a"]);
    }));

  test("to a take that parks: nothing is lost, and nothing is in two places", () =>
    withHarness(async (harness) => {
      await take(harness);
      for (const id of ["a", "b"]) {
        await harness.queue.enqueue(makeJob(id, { model_variant: "hill" }), { worker: "sdxl" });
      }
      const offer = { types: ["sdxl_image_fast"], defaultModelTypes: ["sdxl_image_fast"], models: [] };
      await losingTheAnswerOf("take", () => harness.source.take([{ worker: "sdxl", slots: 1, offer }]));
      expect((await take(await harness.second(), 5)).map(({ jobId }) => jobId)).toEqual(["a", "b"]);
      expect(await shared.gateway.client().keys("ourvidz:parked:*")).toEqual([]);
    }));

  test("to redrive: the job was redriven by this call, once", () =>
    withHarness(async (harness) => {
      const { queue, source } = harness;
      await expect(queue.redrive("nobody")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
      await queue.enqueue(makeJob("a"), { worker: "sdxl" });
      await source.fail(await takeOne(harness), failure);
      await losingTheAnswerOf("redrive", () => queue.redrive("a"));
      expect(await take(harness, 5)).toHaveLength(1);
      await expect(queue.redrive("a")).rejects.toMatchObject({ code: "JOB_NOT_FAILED" });
    }));
});

describe("a request that fails before it is applied", () => {
  test.each<[string, Fault]>([
    ["the connection breaks", { kind: "drop", at: "before" }],
    ["a load balancer answers with a page", badGateway],
    ["there are too many requests", tooManyRequests],
    [
      "the server is starting",
      { kind: "answer", status: 400, body: '{"error":"LOADING Redis is loading the dataset"}' },
    ],
    ["a proxy gives up", { kind: "answer", status: 504, body: '{"error":"upstream request timeout"}' }],
  ])("is tried again when %s", (_what, fault) =>
    withHarness(async (harness) => {
      await harness.queue.enqueue(makeJob("a"), { worker: "sdxl" });
      shared.faults = faultOnce(fault);
      expect(await takeOne(harness)).toMatchObject({ jobId: "a" });
    }),
  );

  test("is given up after its time", () =>
    withHarness(
      async (harness) => {
        // Applied at once: a take that comes late would take the job of a later test.
        shared.faults = () => ({ kind: "delay", at: "after", delayMs: 500 });
        const error = await take(harness).catch((caught: unknown) => caught);
        expect(error).toMatchObject({ code: "QUEUE_UNREACHABLE" });
        expect(String(error)).toContain("did not answer in time");
      },
      { requestTimeoutMs: 50 },
    ));
});

describe("an error that somebody has to see to", () => {
  const words = (status: number, error: string): Fault => ({
    kind: "answer",
    status,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ error }),
  });

  test.each<[string, Fault, string, string]>([
    [
      "the plan's quota",
      words(400, "ERR max daily request limit exceeded. Limit: 10000, Usage: 10001. See the docs"),
      "QUEUE_OVER_QUOTA",
      "raise its plan",
    ],
    ["a full database", words(400, "OOM command not allowed when used memory > 'maxmemory'."), "QUEUE_FULL", "full"],
    ["a refused token", words(401, "Unauthorized"), "CONFIG_INVALID", "UPSTASH_REDIS_REST_TOKEN"],
    ["a token that only reads", words(403, "NOPERM this user has no permissions"), "CONFIG_INVALID", "standard token"],
    ["a command that is refused", words(400, "ERR unknown command"), "INTERNAL", "unknown command"],
  ])("%s is thrown at once, with what to do", (_what, fault, code, part) =>
    withHarness(async ({ queue }) => {
      let requests = 0;
      shared.faults = () => {
        requests += 1;
        return fault;
      };
      const job = makeJob("a", { prompt: "a secret lighthouse" });
      const error = await queue.enqueue(job, { worker: "sdxl" }).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code });
      expect(String(error)).toContain(part);
      expect(requests).toBe(1);
      expect(everythingIn(error)).not.toContain("lighthouse");
      expect(everythingIn(error)).not.toContain(shared.gateway.token);
    }),
  );

  test("a wrong token names its variable", () =>
    withHarness(
      async (harness) => {
        const refused = harness.source.take([{ worker: "sdxl", slots: 1 }]);
        await expect(refused).rejects.toThrow("UPSTASH_REDIS_REST_TOKEN");
      },
      { token: "not-the-token" },
    ));
});

test("scripts that the server has forgotten are sent again", () =>
  withHarness(async (harness) => {
    await harness.queue.enqueue(makeJob("a"), { worker: "sdxl" });
    const lease = await takeOne(harness);
    await harness.source.complete(lease, result);
    await shared.gateway.client().scriptFlush();
    await harness.queue.enqueue(makeJob("b"), { worker: "sdxl" });
    expect(await harness.source.complete(await takeOne(harness), result)).toBe("completed");
  }));

/** An error as any logger could print it. */
function everythingIn(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return [error.stack, JSON.stringify(error), everythingIn(error.cause)].join("\n");
}
