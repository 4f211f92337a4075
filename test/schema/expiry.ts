import { describe, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import {
  call,
  callback,
  claim,
  claimOne,
  enqueue,
  everything,
  type Json,
  rowOf,
  rpc,
  settle,
  statusOf,
  take,
  type UseProject,
} from "./support.ts";

const failure = { code: "OUT_OF_MEMORY", message: "the GPU is full" };
const limited = (seconds: number, more: Json = {}) => ({ config: { expires_in_seconds: seconds }, ...more });

/** `config.expires_in_seconds`: how long a job may wait. */
export function describeExpiry(use: UseProject): void {
  /** Lets the job's time be over. */
  const outlive = (jobId: string) =>
    use().owner.query("update ourvidz.jobs set expires_at = now() - interval '1 second' where id = $1", [jobId]);
  const secondsLeft = async (jobId: string) => {
    const [row] = await use().owner.query(
      "select extract(epoch from expires_at - now())::float8 as seconds from ourvidz.jobs where id = $1",
      [jobId],
    );
    return Number(row?.seconds);
  };

  describe("a job that may wait for so long", () => {
    test("is failed when it has, and not before", async () => {
      const jobId = await enqueue(use(), { fields: limited(600) });
      expect(await secondsLeft(jobId)).toBeGreaterThan(590);
      expect(await rpc(use(), "sweep_expired")).toMatchObject({ overdue: 0 });
      await outlive(jobId);
      expect(await rpc(use(), "sweep_expired")).toMatchObject({ overdue: 1 });
      expect(await rowOf(use(), jobId)).toMatchObject({
        status: "failed",
        attempt: 0,
        error: {
          code: "EXPIRED",
          message: expect.stringContaining("longer than its own limit of 600 s (config.expires_in_seconds)."),
        },
      });
      expect(await claim(use())).toEqual([]);
    });

    test.each(["tomorrow", "2026-02-31T25:00:00Z", 7, { at: 7 }])(
      "expires when it was made before config.expires_at meant anything, as %j",
      async (expires_at) => {
        const ids: string[] = [];
        for (let place = 0; place < 2; place += 1) ids.push(await enqueue(use(), { fields: limited(600) }));
        await use().owner.query(
          "update ourvidz.jobs set element = jsonb_set(element, '{config,expires_at}', $1::jsonb), expires_at = now() - interval '1 second'",
          [JSON.stringify(expires_at)],
        );
        const last = await enqueue(use());
        expect((await claim(use(), 5)).map((lease) => lease.job_id)).toEqual([last]);
        const message = expect.stringContaining("longer than its own limit of 600 s");
        for (const id of ids)
          expect(await rowOf(use(), id)).toMatchObject({ status: "failed", error: { code: "EXPIRED", message } });
        const redriven = await call(use(), service, "redrive_job", { job_id: ids[0] });
        expect(redriven).toMatchObject({ status: 422, body: { hint: "INVALID_JOB" } });
      },
    );

    test("is not leased when its time is over, however many are", async () => {
      const ids: string[] = [];
      for (let place = 0; place < 120; place += 1) ids.push(await enqueue(use(), { fields: limited(600) }));
      await use().owner.query("update ourvidz.jobs set expires_at = now() - interval '1 second'");
      const last = await enqueue(use());
      expect((await claim(use(), 5)).map((lease) => lease.job_id)).toEqual([last]);
      const [left] = await use().owner.query("select count(*)::int as jobs from ourvidz.jobs where status = 'queued'");
      expect(left).toEqual({ jobs: 0 });
    });

    test.each([
      ["for a time that is delayed", { options: { delay_seconds: 3600 } }, undefined],
      ["for a container", {}, "It needed the job type sdxl_image_fast, which no container offered."],
    ])("may wait %s", async (_what, options, cause) => {
      const jobId = await enqueue(use(), { fields: limited(60), ...options });
      await outlive(jobId);
      expect((await take(use())).ends).toMatchObject([{ job_id: jobId, error: { code: "EXPIRED" } }]);
      if (cause !== undefined)
        expect((await rowOf(use(), jobId)).error).toMatchObject({ message: expect.stringContaining(cause) });
    });

    test("says what it waited for: a model, or other jobs", async () => {
      const offers = [{ worker: "sdxl", types: ["sdxl_image_fast"], default_model_types: [], models: ["tiny"] }];
      await call(use(), service, "announce_offers", { worker_id: "w", offers });
      const named = await enqueue(use(), { fields: limited(60, { model_variant: "big" }) });
      const unnamed = await enqueue(use(), { fields: limited(60) });
      const offered = await enqueue(use(), { fields: limited(60, { model_variant: "tiny" }) });
      const waiting = await enqueue(use(), { fields: limited(60, { depends_on: [offered, named] }) });
      const causes = {
        [waiting]: " It waited for 2 jobs that have not completed.",
        [named]: " It needed the job type sdxl_image_fast with the model big, which no container offered.",
        [unnamed]: " It needed the job type sdxl_image_fast, which no container offered.",
        [offered]: "",
      };
      for (const [jobId, cause] of Object.entries(causes)) {
        await outlive(jobId);
        await rpc(use(), "sweep_expired");
        const message = `The job waited longer than its own limit of 60 s (config.expires_in_seconds).${cause}`;
        expect((await rowOf(use(), jobId)).error).toEqual({ code: "EXPIRED", message });
      }
    });

    test("is not interrupted while it runs, and expires when it comes back", async () => {
      const jobId = await enqueue(use(), { fields: limited(60) });
      const lease = await claimOne(use());
      await outlive(jobId);
      expect((await take(use())).ends).toEqual([]);
      await settle(use(), lease, { call: "retry", error: failure, delay_seconds: 60 });
      expect(await statusOf(use(), jobId)).toBe("queued");
      expect((await take(use())).ends).toMatchObject([{ job_id: jobId, attempt: 1, error: { code: "EXPIRED" } }]);
    });

    test("fails those that depend on it", async () => {
      const first = await enqueue(use(), { fields: limited(60) });
      const second = await enqueue(use(), { fields: { depends_on: [first] } });
      await outlive(first);
      const { ends } = await take(use());
      expect(ends.map(({ job_id }) => job_id).toSorted()).toEqual([first, second].toSorted());
      expect((await rowOf(use(), second)).error).toMatchObject({ code: "DEPENDENCY_FAILED" });
    });

    test("has all of its time again when it is redriven", async () => {
      const jobId = await enqueue(use(), { fields: limited(600) });
      await outlive(jobId);
      await rpc(use(), "sweep_expired");
      await rpc(use(), "redrive_job", { job_id: jobId });
      expect(await secondsLeft(jobId)).toBeGreaterThan(590);
      expect(await claim(use())).toMatchObject([{ job_id: jobId }]);
    });

    test("wakes whoever waits when its time is over", async () => {
      const jobId = await enqueue(use(), { fields: limited(600), options: { delay_seconds: 3600 } });
      const { now_ms, next_ms } = await rpc(use(), "due_jobs", { workers: ["wan"] });
      expect(Number(next_ms) - Number(now_ms)).toBeGreaterThan(590_000);
      expect(Number(next_ms) - Number(now_ms)).toBeLessThanOrEqual(600_000);
      await outlive(jobId);
      expect(await rpc(use(), "due_jobs", { workers: ["wan"] })).toMatchObject({
        due: [expect.stringContaining("overdue:")],
      });
    });

    test("and goes over Redis is ended there", async () => {
      const jobId = await enqueue(use(), { fields: limited(60), options: { source: "upstash" } });
      await outlive(jobId);
      expect(await rpc(use(), "sweep_expired")).toMatchObject({ overdue: 0 });
      const error = { error_message: "The job waited longer …", metadata: { error_type: "EXPIRED" } };
      await rpc(use(), "apply_job_callback", callback(jobId, "failed", error));
      expect(await rowOf(use(), jobId)).toMatchObject({ status: "failed", error: { code: "EXPIRED" } });
    });

    test.each([0, -1, 2_592_001, "60", true, {}])("is refused when that is %j", async (seconds) => {
      const before = await everything(use());
      const job = { type: "sdxl_image_fast", prompt: "a pond", config: { expires_in_seconds: seconds } };
      const answer = await call(use(), service, "enqueue_job", { job });
      expect(answer).toMatchObject({
        status: 422,
        body: { hint: "INVALID_JOB", message: expect.stringContaining("config.expires_in_seconds") },
      });
      expect(await everything(use())).toEqual(before);
    });

    test("expires at a moment of its own, when that is first", async () => {
      const expires_at = "2031-02-03T04:05:06.789+01:00";
      const fields = { config: { expires_at } };
      const own = new Date(expires_at).toISOString().replace("Z", "+00:00");
      const first = await enqueue(use(), { fields });
      expect((await rowOf(use(), first)).expires_at).toEqual(own);
      const both = await enqueue(use(), { fields: { config: { expires_at, expires_in_seconds: 60 } } });
      expect(await secondsLeft(both)).toBeLessThanOrEqual(60);
      await outlive(first);
      await rpc(use(), "sweep_expired");
      const message = expect.stringContaining("still waited when its own moment had come (config.expires_at).");
      expect((await rowOf(use(), first)).error).toEqual({ code: "EXPIRED", message });
    });

    test.each(["2031-02-03", "2031-02-03T04:05:06", "2031-02-30T00:00:00Z", "2031-01-01T00:00:00+99:00", 7, {}])(
      "is refused when that moment is %j",
      async (expires_at) => {
        const job = { type: "sdxl_image_fast", prompt: "a pond", config: { expires_at } };
        expect(await call(use(), service, "enqueue_job", { job })).toMatchObject({
          status: 422,
          body: { hint: "INVALID_JOB", message: expect.stringContaining("config.expires_at") },
        });
      },
    );

    test.each([[{}], [{ config: { expires_in_seconds: null } }], [{ config: "none" }]])(
      "waits for ever when it says nothing: %j",
      async (fields) => {
        expect(await rowOf(use(), await enqueue(use(), { fields }))).toMatchObject({ expires_at: null });
      },
    );
  });
}
