import fc from "fast-check";
import { createClient } from "redis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { decodeElement } from "#contract/decode.ts";
import { expiryMomentOf, expirySecondsOf } from "#contract/expiry.ts";
import { failure, makeJob, result, take, takenIds, takeOne } from "#test/conformance/sources/harness.ts";
import { openHarness, type UpstashHarness, useGateway } from "./testing/upstash-harness.ts";

/* What producers push to their plain lists. */

const shared = useGateway();
let harness: UpstashHarness;
let redis: ReturnType<typeof createClient>;

beforeAll(async () => {
  redis = createClient({ url: shared.gateway.redis.url });
  await redis.connect();
});
afterAll(() => redis.destroy());
beforeEach(async () => {
  harness = await openHarness(shared.gateway, { events: false });
  return () => harness.close();
});

const push = (element: string | Buffer) => redis.lPush("sdxl_queue", element);
const element = (id: string, fields: object = {}) =>
  JSON.stringify({ id, type: "sdxl_image_fast", prompt: "a red cube", ...fields });

describe("an element that is pushed", () => {
  test("becomes a job, the oldest first", async () => {
    for (const id of ["a", "b", "c"]) await push(element(id));
    expect(await takenIds(harness, 2)).toEqual(["a", "b"]);
    expect(await takenIds(harness, 2)).toEqual(["c"]);
    expect(await harness.queue.get("a")).toMatchObject({
      status: "running",
      worker: "sdxl",
      job: { prompt: "a red cube" },
    });
  });

  test("is taken from the other side where its queue says so", async () => {
    const lists = { sdxl: { list: "pictures", side: "left" } } as const;
    const other = await harness.second({ lists });
    for (const id of ["a", "b"]) await redis.rPush("pictures", element(id));
    expect(await takenIds(other, 5)).toEqual(["a", "b"]);
  });

  test("of several workers is filed by one take", async () => {
    await redis.lPush("wan_queue", element("video", { type: "video_fast" }));
    await push(element("image"));
    const { leases } = await harness.source.take([
      { worker: "sdxl", slots: 1 },
      { worker: "wan", slots: 1 },
    ]);
    expect(leases.map(({ jobId }) => jobId)).toEqual(["image", "video"]);
  });

  test("goes by priority, and waits among jobs that were enqueued", async () => {
    await harness.queue.enqueue(makeJob("first"), { worker: "sdxl" });
    await push(element("second"));
    await push(element("urgent", { priority: 5 }));
    expect(await takenIds(harness, 5)).toEqual(["urgent", "first", "second"]);
  });

  test.each([
    ["a JSON string", JSON.stringify(element("a"))],
    ["a list of one", JSON.stringify([element("a")])],
    ["a list of one object", `[${element("a")}]`],
    ["under data", JSON.stringify({ data: element("a") })],
    ["with old names", '{"jobId":"a","jobType":"sdxl_image_fast","userId":"ann","prompt":"a red cube"}'],
    ["with a text cut within an emoji", '{"id":"a","type":"sdxl_image_fast","prompt":"a red cube \\ud83d"}'],
    [
      "with escaped backslashes and half an emoji",
      '{"id":"a","type":"sdxl_image_fast","prompt":"\\\\\\\\ud83d\\ud83d"}',
    ],
  ])("may be %s", async (_form, text) => {
    await push(text);
    expect(await takenIds(harness, 5)).toEqual(["a"]);
  });

  test.each(["queued", "running", "completed", "failed"] as const)(
    "with an id that is known and %s is dropped",
    async (status) => {
      await push(element("a"));
      if (status !== "queued") {
        const lease = await takeOne(harness);
        if (status === "completed") await harness.source.complete(lease, result);
        if (status === "failed") await harness.source.fail(lease, failure);
      }
      await push(element("a"));
      await push(element("b"));
      expect(await takenIds(harness, 5)).toEqual(status === "queued" ? ["a", "b"] : ["b"]);
      expect(await harness.source.deadLetters(5)).toEqual([]);
    },
  );

  test("twice in one batch becomes one job", async () => {
    for (const id of ["a", "b", "a", "b"]) await push(element(id));
    expect(await takenIds(harness, 5)).toEqual(["a", "b"]);
    expect(harness.source.repeated).toBe(2);
  });

  test.each([
    ["the same bytes", element("a")],
    [
      "in another order, with a time stamp",
      '{"prompt":"a red cube","created_at":"now","type":"sdxl_image_fast","id":"a"}',
    ],
    ["with defaults and nulls", element("a", { priority: 0, user_id: null, config: {}, metadata: {}, bucket: null })],
    ["in another dialect, wrapped", JSON.stringify([{ jobId: "a", jobType: "sdxl_image_fast", prompt: "a red cube" }])],
  ])("again with %s is counted, in one batch and later", async (_how, again) => {
    await push(element("a"));
    await push(again);
    expect(await takenIds(harness, 5)).toEqual(["a"]);
    await push(again);
    expect(await takenIds(harness, 5)).toEqual([]);
    expect(harness.source.repeated).toBe(2);
    expect(await harness.source.deadLetters(5)).toEqual([]);
  });

  test.each([
    ["another prompt", element("a", { prompt: "a blue cube" })],
    ["another type", JSON.stringify({ id: "a", type: "sdxl_image_high", prompt: "a red cube" })],
    ["one more setting", element("a", { config: { seed: 7 } })],
  ])("with a known id and %s goes to the dead letters with the reason", async (_how, other) => {
    await push(element("a", { user_id: "ann" }));
    await push(other);
    expect(await takenIds(harness, 5)).toEqual(["a"]);
    await push(other);
    expect(await takenIds(harness, 5)).toEqual([]);
    const letters = await harness.source.deadLetters(5);
    expect(letters).toHaveLength(2);
    for (const { reason, raw } of letters) {
      expect(reason).toContain("the job a is known with another body");
      expect(raw).toBe(other);
    }
    expect(harness.source).toMatchObject({ repeated: 0, undecodable: 2 });
    expect(await harness.queue.get("a")).toMatchObject({ job: { user_id: "ann", prompt: "a red cube" } });
  });

  test("again after it was enqueued over HTTP is compared with what was enqueued", async () => {
    await harness.queue.enqueue(makeJob("a", { user_id: "ann" }), { worker: "sdxl" });
    await push(JSON.stringify({ ...makeJob("a"), userId: "ann", user_id: null }));
    expect(await takenIds(harness, 5)).toEqual(["a"]);
    expect(harness.source).toMatchObject({ repeated: 1, undecodable: 0 });
  });

  test("with ids that are numbers is read with their digits", async () => {
    await push('{"id":17,"type":"sdxl_image_fast","prompt":"a red cube","user_id":4503599627370496}');
    const lease = await takeOne(harness);
    expect(lease).toMatchObject({ jobId: "17", job: { id: "17", user_id: "4503599627370496" } });
    await harness.queue.enqueue(makeJob("18", { user_id: "4503599627370496" }), { worker: "sdxl" });
    expect(await harness.queue.get("17")).toMatchObject({ status: "running" });
  });

  test("with the name that its type had before is taken by who offers the type", async () => {
    await redis.lPush("wan_queue", element("clip", { type: "wan_video_fast" }));
    const offer = { types: ["video_fast"], defaultModelTypes: ["video_fast"], models: [] };
    const { leases } = await harness.source.take([{ worker: "wan", slots: 1, offer }]);
    expect(leases).toMatchObject([{ jobId: "clip", job: { type: "video_fast" } }]);
  });

  test("of a type that is no name is taken by anybody, to be rejected", async () => {
    await push(element("a", { type: "Not a type: at all" }));
    const offer = { types: [], defaultModelTypes: [], models: [] };
    const { leases } = await harness.source.take([{ worker: "sdxl", slots: 1, offer }]);
    expect(leases).toMatchObject([{ jobId: "a", rejection: { code: "INVALID_JOB" } }]);
  });

  test("can be enqueued again, and is compared in its own dialect", async () => {
    await push('{"jobId":"a","jobType":"sdxl_image_fast","userId":"ann","prompt":"a red cube"}');
    await take(harness, 5);
    const job = makeJob("a", { user_id: "ann", prompt: "a red cube" });
    expect(await harness.queue.enqueue(job, { worker: "sdxl" })).toMatchObject({ jobId: "a", created: false });
    const other = makeJob("a", { user_id: "ann", prompt: "a blue cube" });
    await expect(harness.queue.enqueue(other, { worker: "sdxl" })).rejects.toMatchObject({
      code: "IDEMPOTENCY_CONFLICT",
    });
  });

  test("can be cancelled while all executors are busy", async () => {
    await push(element("a"));
    expect(await harness.queue.cancel("a")).toBe("cancelled");
    expect(await take(harness, 5)).toEqual([]);
  });

  test("is counted as queued", async () => {
    await push(element("a"));
    const stats = await harness.queue.stats();
    expect(stats).toMatchObject([{ queue: "sdxl_queue", queued: 1 }]);
  });

  test("with wrong fields is leased with what is wrong, and is not lost", async () => {
    await push(element("a", { priority: "high", config: "none" }));
    const lease = await takeOne(harness);
    expect(lease.rejection).toMatchObject({ code: "INVALID_JOB" });
    expect(lease.rejection?.message).toContain("priority");
    expect(lease.job).toMatchObject({ id: "a", type: "sdxl_image_fast", prompt: "a red cube" });
  });
});

describe("an element without a job", () => {
  const deep = `{"id":"deep","type":"sdxl_image_fast","config":${"[".repeat(40)}${"]".repeat(40)}}`;
  test.each([
    ["is not JSON", "not JSON", "not JSON"],
    ["is empty", "", "not JSON"],
    ["has no id", '{"type":"sdxl_image_fast"}', "no id"],
    ["has a number as its id that is not exact", '{"id":9007199254740993,"type":"sdxl_image_fast"}', "id must be"],
    ["has half a number as its id", '{"id":1.5,"type":"sdxl_image_fast"}', "id must be"],
    ["has a negative number as its id", '{"id":-5,"type":"sdxl_image_fast"}', "id must be"],
    ["has an id that is none", '{"id":"../etc","type":"sdxl_image_fast"}', "id must be"],
    ["has no type", '{"id":"a"}', "no type"],
    ["is a list of two", `[${element("a")},${element("b")}]`, "more than one"],
    ["is a number", "42", "not a job"],
    ["is nested too deep", deep, "nested deeper"],
    ["is bytes", Buffer.from([0xff, 0xfe, 0x00, 0x80]), "not JSON"],
  ])("that %s goes to the dead letters and stops nothing", async (_what, raw, reason) => {
    await push(raw);
    await push(element("next"));
    expect(await takenIds(harness, 5)).toEqual(["next"]);
    const [letter, ...more] = await harness.source.deadLetters(5);
    expect(letter?.reason).toContain(reason);
    expect(letter).toMatchObject({ worker: "sdxl" });
    expect(more).toEqual([]);
    const kept = await redis.lIndex(Buffer.from("ourvidz:dead-letters"), 0);
    expect(String(kept)).toContain(Buffer.from(raw).toString());
    expect(await harness.queue.get("deep")).toBeNull();
    expect((await harness.queue.list({ limit: 9 })).jobs.map(({ job }) => job.id)).toEqual(["next"]);
  });

  test("of 9 MB is kept whole, read from its beginning, and stops nothing", async () => {
    const raw = element("large", { prompt: "x".repeat(9 * 1024 * 1024) });
    await push(raw);
    await push(element("next"));
    expect(await takenIds(harness, 5)).toEqual(["next"]);
    const [letter] = await harness.source.deadLetters(1);
    expect(letter?.raw).toBe(raw.slice(0, 8192));
    expect(letter?.reason).toContain("too large");
    expect(String(await redis.lIndex(Buffer.from("ourvidz:dead-letters"), 0))).toContain(raw);
  });
});

test("dead letters are listed newest first, as many as are wanted, and fewer where they are large", async () => {
  for (let number = 0; number < 25; number++) await push(`not JSON ${number}`);
  expect(await takenIds(harness, 5)).toEqual([]);
  const names = async (limit: number) => (await harness.source.deadLetters(limit)).map(({ raw }) => raw.slice(0, 12));
  const newest = Array.from({ length: 25 }, (_, place) => `not JSON ${24 - place}`);
  expect(await names(100)).toEqual(newest);
  expect(await names(12)).toEqual(newest.slice(0, 12));
  expect(await names(1)).toEqual(newest.slice(0, 1));
  for (let number = 0; number < 5; number++) await push(`large ${number} ${"x".repeat(8 * 1024 * 1024)}`);
  while ((await redis.lLen("sdxl_queue")) > 0) await takenIds(harness, 5);
  const large = await names(100);
  expect(large.slice(0, 5)).toEqual(
    Array.from({ length: 5 }, (_, place) => expect.stringMatching(`^large ${4 - place}`)),
  );
  expect(large.length).toBeLessThan(30);
});

test("the queue's own reading of an element agrees with the contract's", { timeout: 60_000 }, async () => {
  const mostly = <Usual, Odd>(usual: readonly Usual[], odd: readonly Odd[]) =>
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });
  const id = mostly(["a-1", "B_2"], ["../x", "", 7, 1.5, -3, 2 ** 53, 2 ** 53 - 1, 1e300, null]);
  const half = fc.constantFrom("\ud83d", "\\\\ud83d \udc00", '"\ud83d\\"');
  const text = fc.oneof(fc.string({ unit: "binary", maxLength: 12 }), fc.string({ maxLength: 12 }), half);
  const moments = fc.oneof(
    fc
      .tuple(fc.date({ min: new Date("2101-01-01"), max: new Date("2999-01-01"), noInvalidDate: true }), fc.nat(9))
      .map(([date, digits]) => date.toISOString().replace("Z", `${digits === 9 ? "123456" : ""}Z`)),
    fc.constantFrom<unknown>("2100-02-28T23:59:59+14:00", "2104-02-29T00:00:00-09:30", "2100-01-01", 5, null, "soon"),
  );
  const fields = fc.record(
    {
      id,
      jobId: id,
      type: mostly(["sdxl_image_fast"], ["wan_video_high", "", null, 3]),
      jobType: mostly(["video_fast"], [null]),
      user_id: mostly(["ann", 42], ["not an id", null, 9.5]),
      priority: mostly([-100, 0, 7, 100], [-120, 120, 0.5, "1", null]),
      model_variant: mostly(["tiny-sdxl"], ["../..", null]),
      prompt: text,
      config: fc.oneof(
        fc.dictionary(text, fc.jsonValue({ maxDepth: 2 })),
        fc.record({ expires_in_seconds: fc.constantFrom<unknown>(60, 3600, 0, -1, "60", null, 3e6) }),
        fc.record({ expires_at: moments, expires_in_seconds: fc.constant(60) }),
      ),
      data: mostly([null, 5], ["text"]),
    },
    { requiredKeys: ["type", "id"] },
  );
  const wrap = fc.constantFrom<(inner: unknown) => unknown>(
    (inner) => inner,
    (inner) => JSON.stringify(inner),
    (inner) => [inner],
    (inner) => ({ data: inner }),
    (inner) => [JSON.stringify(inner)],
  );
  const elements = fc.array(
    fc.tuple(fields, wrap, wrap).map(([job, inner, outer]) => JSON.stringify(outer(inner(job)))),
    { minLength: 1, maxLength: 1 },
  );
  let read = 0;
  await fc.assert(
    fc.asyncProperty(elements, async ([raw = ""]) => {
      await redis.flushAll();
      await push(raw);
      const decoded = decodeElement(raw);
      const known = decoded.ok ? decoded.job : decoded.rejected?.job;
      const [lease] = await take(harness, 1);
      expect(lease?.job).toEqual(known);
      if (known === undefined) expect(await redis.lLen("ourvidz:dead-letters")).toBe(1);
      if (!decoded.ok || lease === undefined) return;
      read += 1;
      const state = JSON.parse((await redis.get(`ourvidz:job:${lease.jobId}`))?.split("\n")[0] ?? "");
      expect(state).toMatchObject({ id: decoded.job.id, user: decoded.job.user_id, priority: decoded.job.priority });
      expect(state.model).toBe(decoded.job.model_variant);
      expect(state.type).toBe(decoded.job.type);
      const seconds = expirySecondsOf(decoded.job);
      expect(state.expiresIn).toBe(seconds === null ? undefined : seconds * 1000);
      expect(state.expiresAt).toBe(expiryMomentOf(decoded.job) ?? undefined);
    }),
    { numRuns: 400 },
  );
  expect(read).toBeGreaterThan(100);
});
