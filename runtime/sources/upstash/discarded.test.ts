import { beforeEach, expect, test } from "vitest";
import { defaultKeepSettledDays } from "#contract/queue-keys.ts";
import {
  enqueue,
  failure,
  makeJob,
  outliveLeases,
  result,
  take,
  takeEnds,
  takeOne,
} from "#test/conformance/sources/harness.ts";
import { RestTransport } from "./rest-transport.ts";
import { openHarness, type UpstashHarness, useGateway } from "./testing/upstash-harness.ts";

/* What Redis remembers of discarded jobs, for how long, and by what it knows whether their ends are reported. */

const shared = useGateway();
const maxDiscarded = 100_000;
const daySeconds = 86_400;
let harness: UpstashHarness;
beforeEach(async () => {
  harness = await openHarness(shared.gateway, { events: false });
  return () => harness.close();
});

const redis = () => shared.gateway.client({ automaticDeserialization: false });

async function completed(id: string) {
  await enqueue(harness, id);
  const lease = await takeOne(harness);
  await harness.source.complete(lease, result);
  return lease;
}

test("a discarded job is remembered for as long as a container keeps a result of it, and not longer", async () => {
  const lease = await completed("a");
  await harness.queue.discard(["a"]);
  const rememberedSeconds = (defaultKeepSettledDays + 1) * daySeconds;
  expect(await redis().ttl("ourvidz:discarded")).toBeGreaterThan(rememberedSeconds - 60);
  expect(await redis().ttl("ourvidz:discarded")).toBeLessThanOrEqual(rememberedSeconds);
  // As if that time had gone by: the next discard forgets it.
  const [, score] = await redis().zrange<string[]>("ourvidz:discarded", 0, 0, { withScores: true });
  const old = { score: Number(score) - rememberedSeconds * 1000, member: "a" };
  await redis().zadd("ourvidz:discarded", old);
  expect(await harness.source.renew([{ lease }])).toEqual(["lost"]);
  await completed("b");
  await harness.queue.discard(["b"]);
  expect(await harness.source.renew([{ lease }])).toEqual(["unknown"]);
});

test("the newest 100,000 are remembered", async () => {
  const fill = `
    for n = 1, ARGV[1], 1000 do
      local entries = {}
      for each = n, n + 999 do
        entries[#entries + 1] = ARGV[2] + each
        entries[#entries + 1] = 'old-' .. each
      end
      redis.call('ZADD', KEYS[1], unpack(entries))
    end`;
  const hourAgoMs = Date.now() - 3_600_000;
  await redis().eval(fill, ["ourvidz:discarded"], [maxDiscarded, hourAgoMs]);
  expect(await redis().zcard("ourvidz:discarded")).toBe(maxDiscarded);
  const lease = await completed("a");
  await harness.queue.discard(["a"]);
  expect(await redis().zcard("ourvidz:discarded")).toBe(maxDiscarded);
  // The job, and the call that enqueued it.
  expect(await redis().zscore("ourvidz:discarded", "old-2")).toBeNull();
  expect(await redis().zscore("ourvidz:discarded", "old-3")).not.toBeNull();
  expect(await harness.source.complete(lease, result)).toBe("lost");
});

test("a job that the server has forgotten is not taken for a discarded one", async () => {
  await completed("a");
  await harness.queue.discard(["a"]);
  await enqueue(harness, "b");
  const lease = await takeOne(harness);
  await redis().del("ourvidz:job:b");
  const discarded = { jobId: "a", token: "late", attempt: 1 };
  expect(await harness.source.renew([{ lease }, { lease: discarded }])).toEqual(["unknown", "lost"]);
  const answers = [harness.source.complete(lease, result), harness.source.complete(discarded, result)];
  expect(await Promise.all(answers)).toEqual(["unknown", "lost"]);
});

/** The first answer of an enqueue is lost, after `meanwhile`. */
async function losingTheAnswer(meanwhile: () => Promise<unknown>) {
  const { url, token } = shared.gateway;
  const inner = new RestTransport({ url, token, timeoutMs: 5000 });
  let isDue = true;
  const side = await harness.second({
    random: () => 0,
    transport: {
      async send(command, maxWaitMs) {
        const answer = await inner.send(command, maxWaitMs);
        if (!isDue || !command.some((word) => word.includes('"isRepeat":false'))) return answer;
        isDue = false;
        await meanwhile();
        throw new TypeError("the connection broke");
      },
    },
  });
  return side;
}

test("an enqueue whose answer was lost is not applied again when its job was discarded meanwhile", async () => {
  const meanwhile = async () => {
    await harness.source.complete(await takeOne(harness), result);
    expect(await harness.queue.discard(["a"])).toEqual(["discarded"]);
  };
  const { queue } = await losingTheAnswer(meanwhile);
  const options = { worker: "sdxl", idempotencyKey: "order-1" };
  const answer = await queue.enqueue(makeJob("a"), options);
  expect(answer).toEqual({ jobId: "a", created: true, position: 0 });
  expect(await take(harness, 5)).toEqual([]);
  expect(await queue.get("a")).toBeNull();
  // A call of its own with the same key and id makes a new job.
  expect(await queue.enqueue(makeJob("a"), options)).toMatchObject({ jobId: "a", created: true, position: 1 });
  expect(await take(harness, 5)).toHaveLength(1);
});

test("an enqueue whose answer was lost, of an id that was discarded before, is applied once", async () => {
  await completed("a");
  await harness.queue.discard(["a"]);
  const { queue } = await losingTheAnswer(async () => undefined);
  expect(await queue.enqueue(makeJob("a"), { worker: "sdxl" })).toMatchObject({ jobId: "a", created: true });
  expect(await take(harness, 5)).toHaveLength(1);
});

test("an end is with its container as long as that one's lease, whatever the lease of who discards", async () => {
  await enqueue(harness, "a");
  await harness.queue.cancel("a");
  const long = await harness.second({ leaseSeconds: 600 });
  const ends = await takeEnds(long);
  expect(ends).toMatchObject([{ jobId: "a" }]);
  const short = await harness.second({ leaseSeconds: 1 });
  expect(await short.queue.discard(["a"])).toEqual(["unreported"]);
  await outliveLeases(harness);
  expect(await short.queue.discard(["a"])).toEqual(["unreported"]);
  await long.source.reported(ends);
  expect(await short.queue.discard(["a"])).toEqual(["discarded"]);
});

test("an end that another container has claimed anew is with that one", async () => {
  await enqueue(harness, "a", { config: { expires_in_seconds: 1 } });
  await harness.advance(1100);
  const first = await takeEnds(harness);
  expect(first).toMatchObject([{ jobId: "a", status: "failed" }]);
  await outliveLeases(harness);
  const second = await harness.second();
  const ends = await takeEnds(second);
  expect(ends).toMatchObject([{ jobId: "a" }]);
  await harness.source.reported(first);
  expect(await harness.queue.discard(["a"])).toEqual(["unreported"]);
  await second.source.reported(ends);
  expect(await harness.queue.discard(["a"])).toEqual(["discarded"]);
});

test("whether ends are reported is known however much else is due", async () => {
  await enqueue(harness, "failed");
  await harness.source.fail(await takeOne(harness), failure);
  await enqueue(harness, "a");
  await harness.queue.cancel("a");
  await harness.source.reported(await takeEnds(harness));
  const crowd = `
    for n = 1, 6000 do redis.call('ZADD', KEYS[1], ARGV[1], ':expiry:crowd-' .. n) end`;
  await redis().eval(crowd, ["ourvidz:timetable"], [Date.now()]);
  expect(await harness.queue.discard(["a", "failed"])).toEqual(["discarded", "discarded"]);
});
