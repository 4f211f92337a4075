import { describe, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import {
  ann,
  call as callAs,
  callback,
  claimOne,
  enqueue,
  everything,
  imageOf,
  type Json,
  rowOf,
  rpc,
  settle,
  take,
  type UseProject,
} from "./support.ts";

const failure = { code: "OUT_OF_MEMORY", message: "the GPU is full" };

/** A redrive begins the next run; callbacks name theirs. */
export function describeRuns(use: UseProject): void {
  const apply = (jobId: string, status: string, more: Json = {}) =>
    rpc(use(), "apply_job_callback", callback(jobId, status, more));
  const assetsOf = (jobId: string) => ({ assets: [imageOf(jobId, ann)] });

  describe("runs of a job that a container claims", () => {
    const failed = async () => {
      const jobId = await enqueue(use(), { user: ann });
      await settle(use(), await claimOne(use()), { call: "fail", error: failure });
      return jobId;
    };

    test("are counted by redriving", async () => {
      const jobId = await enqueue(use(), { user: ann });
      for (const run of [1, 2, 3]) {
        const { leases } = await take(use());
        expect(leases).toMatchObject([{ job_id: jobId, run, attempt: 1 }]);
        const { token } = { token: String(leases[0]?.token) };
        await settle(use(), { job_id: jobId, token, attempt: 1 }, { call: "fail", error: failure });
        expect(await rpc(use(), "get_job", { job_id: jobId })).toMatchObject({ run, status: "failed" });
        await rpc(use(), "redrive_job", { job_id: jobId });
      }
    });

    test.each(["queued", "running"])(
      "are kept apart: what was said of the one before does not end one that is %s",
      async (state) => {
        const jobId = await failed();
        await rpc(use(), "redrive_job", { job_id: jobId });
        if (state === "running") await claimOne(use());
        const before = await everything(use());
        for (const status of ["processing", "failed", "cancelled", "completed"]) {
          expect(await apply(jobId, status, { run: 1, ...assetsOf(jobId) })).toMatchObject({
            skipped: true,
            run: 2,
            reason: "run 1 is over: the job is at run 2",
          });
        }
        expect(await everything(use())).toEqual(before);
      },
    );

    test("are the database's own to count", async () => {
      const jobId = await failed();
      expect(await apply(jobId, "processing", { run: 2 })).toMatchObject({
        skipped: true,
        reason: "no container holds run 2 of this job",
      });
    });

    test("end by a callback of theirs, or of a container that does not count", async () => {
      for (const run of [{ run: 2 }, {}]) {
        const jobId = await failed();
        await rpc(use(), "redrive_job", { job_id: jobId });
        await claimOne(use());
        expect(await apply(jobId, "completed", { ...run, ...assetsOf(jobId) })).toMatchObject({
          applied: true,
          run: 2,
        });
      }
    });
  });

  describe("runs of a job that goes over Redis", () => {
    const overRedis = { user: ann, options: { source: "upstash" } };

    test.each(["failed", "cancelled", "completed"])("begin after one that is %s", async (end) => {
      const jobId = await enqueue(use(), overRedis);
      await apply(jobId, end, { attempt: 3, run: 1, metadata: { generation_time: 2 }, ...assetsOf(jobId) });
      expect(await apply(jobId, "processing", { attempt: 1, run: 2, metadata: { progress: 0.25 } })).toMatchObject({
        applied: true,
        job_status: "running",
        run: 2,
        attempt: 1,
      });
      expect(await rowOf(use(), jobId)).toMatchObject({ progress: 0.25, error: null, settled_at: null, result: null });
      expect(await apply(jobId, "completed", { attempt: 1, run: 2, ...assetsOf(jobId) })).toMatchObject({
        applied: true,
      });
      expect(await apply(jobId, end, { attempt: 3, run: 1 })).toMatchObject({ skipped: true, job_status: "completed" });
      const usage = await use().owner.query("select attempt, status from ourvidz.usage order by attempt");
      // The attempts of a job that was cancelled while it waited are not known to its row.
      const attempts = end === "cancelled" ? 1 : 3;
      expect(usage).toEqual([
        { attempt: attempts, status: end },
        { attempt: attempts + 1, status: "completed" },
      ]);
    });

    test("may end at once, whatever the row has heard of the one before", async () => {
      for (const end of ["failed", "cancelled", "completed"]) {
        const jobId = await enqueue(use(), overRedis);
        await apply(jobId, "processing", { attempt: 2 });
        expect(await apply(jobId, end, { run: 3, ...assetsOf(jobId) })).toMatchObject({
          applied: true,
          job_status: end,
          run: 3,
        });
        expect(await rowOf(use(), jobId)).toMatchObject({ run: 3, attempt: end === "cancelled" ? 0 : 1 });
      }
    });

    test("go on when the row is redriven here: its element says which one it begins", async () => {
      const jobId = await enqueue(use(), overRedis);
      await use().owner.query("delete from ourvidz.queue_outbox");
      await apply(jobId, "failed", { run: 4, attempt: 3 });
      await rpc(use(), "redrive_job", { job_id: jobId });
      expect(await rowOf(use(), jobId)).toMatchObject({ status: "queued", run: 5, attempt: 0 });
      const pushed = "select job_id, element ->> 'id' as id, (element -> 'run')::int as run from ourvidz.queue_outbox";
      expect(await use().owner.query(pushed)).toEqual([{ job_id: jobId, id: jobId, run: 5 }]);
      for (const status of ["failed", "completed", "cancelled"]) {
        expect(await apply(jobId, status, { run: 4, attempt: 3, ...assetsOf(jobId) })).toMatchObject({
          skipped: true,
          reason: "run 4 is over: the job is at run 5",
        });
      }
      expect(await apply(jobId, "completed", { run: 5, ...assetsOf(jobId) })).toMatchObject({ applied: true, run: 5 });
    });

    test("go on while the element of the first one is not pushed yet", async () => {
      const jobId = await enqueue(use(), overRedis);
      await use().owner.query("update ourvidz.jobs set status = 'failed', settled_at = now() where id = $1", [jobId]);
      await rpc(use(), "redrive_job", { job_id: jobId });
      const pushed = "select (element -> 'run')::int as run from ourvidz.queue_outbox where job_id = $1";
      expect(await use().owner.query(pushed, [jobId])).toEqual([{ run: 2 }]);
    });

    test.each([{ run: 0 }, { run: -1 }, { run: 1e12 }, { attempt: 1e12 }])(
      "are refused when they are %j",
      async (report) => {
        const jobId = await enqueue(use(), overRedis);
        const before = await everything(use());
        const answer = await callAs(use(), service, "apply_job_callback", callback(jobId, "failed", report));
        expect(answer).toMatchObject({ status: 400, body: { hint: "INVALID_REQUEST" } });
        expect(await everything(use())).toEqual(before);
      },
    );
  });
}
