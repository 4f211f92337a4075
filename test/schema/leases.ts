import { describe, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import {
  ann,
  call,
  claim,
  claimOne,
  enqueue,
  type Json,
  rowOf,
  rpc,
  rpcList,
  settle,
  statusOf,
  type UseProject,
} from "./support.ts";

const failure = { code: "OUT_OF_MEMORY", message: "the GPU is full" };

/** What the conformance suite of the sources does not see: tickets, what an end leaves in the tables, sweeping. */
export function describeLeases(use: UseProject): void {
  const expire = (jobId: string) =>
    use().owner.query("update ourvidz.jobs set lease_expires_at = now() - interval '1 second' where id = $1", [jobId]);

  describe("claim_jobs", () => {
    const claimAs = (args: Json) =>
      rpcList(use(), "claim_jobs", { worker_id: "container-1", requests: [{ worker: "sdxl", slots: 1 }], ...args });

    test("gives back, uncharged, what a call claimed whose answer was lost", async () => {
      const jobId = await enqueue(use());
      await claimAs({ ticket: "lost" });
      expect(await claimAs({ ticket: "other", unanswered: [] })).toEqual([]);
      expect(await claimAs({ ticket: "next", unanswered: ["lost"] })).toMatchObject([{ job_id: jobId, attempt: 1 }]);
      const attempts = await use().owner.query("select ticket, outcome from ourvidz.job_attempts order by sequence");
      expect(attempts).toEqual([
        { ticket: "lost", outcome: "released" },
        { ticket: "next", outcome: "running" },
      ]);
    });

    test("never gives out a job that goes over Redis", async () => {
      await enqueue(use(), { options: { source: "upstash" } });
      expect(await claim(use(), 5)).toEqual([]);
    });

    test.each([0, 0.5, 1e9, null])("refuses a lease of %s seconds", async (lease_seconds) => {
      const args = { worker_id: "w", requests: [], lease_seconds };
      expect(await call(use(), service, "claim_jobs", args)).toMatchObject({
        status: 400,
        body: { hint: "INVALID_REQUEST" },
      });
    });

    test("notes how long the job waited, and who has it", async () => {
      const jobId = await enqueue(use());
      await use().owner.query("update ourvidz.jobs set available_at = available_at - interval '30 seconds'");
      await claimOne(use());
      const row = await rowOf(use(), jobId);
      expect(row).toMatchObject({ status: "running", worker_id: "container-1", attempt: 1 });
      expect(row.queue_seconds).toBeGreaterThanOrEqual(30);
    });
  });

  describe("settle_job", () => {
    test("keeps files, usage and result of a completed job", async () => {
      const jobId = await enqueue(use(), { user: ann });
      const image = { type: "image", url: `${ann}/${jobId}/0.png`, index: 0, size_bytes: 2000 };
      const foreign = { type: "image", url: `${ann}/another/1.png`, index: 1 };
      const result = { assets: [image, foreign], metadata: { generation_time: 12.5 } };
      expect(await settle(use(), await claimOne(use()), { call: "complete", result })).toBe("settled");
      expect(await rowOf(use(), jobId)).toMatchObject({ status: "completed", progress: 1, result, lease_token: null });
      const files = await use().owner.query("select index, path from ourvidz.assets where job_id = $1", [jobId]);
      expect(files).toEqual([{ index: 0, path: image.url }]);
      const [usage] = await use().owner.query("select to_jsonb(usage) as row from ourvidz.usage");
      expect(usage?.row).toMatchObject({
        job_id: jobId,
        user_id: ann,
        gpu_seconds: 12.5,
        files: 1,
        bytes: 2000,
        status: "completed",
      });
    });

    test("refuses a way to settle that is not known", async () => {
      await enqueue(use());
      const { job_id, token } = await claimOne(use());
      const answer = await call(use(), service, "settle_job", { settlement: { job_id, token, call: "forget" } });
      expect(answer).toMatchObject({ status: 400, body: { hint: "INVALID_REQUEST" } });
      expect(await statusOf(use(), job_id)).toBe("running");
    });

    test("counts the usage of a redriven job's attempts beside the first ones", async () => {
      const jobId = await enqueue(use());
      await settle(use(), await claimOne(use()), { call: "fail", error: failure });
      await rpc(use(), "redrive_job", { job_id: jobId });
      await settle(use(), await claimOne(use()), { call: "complete", result: { assets: [], metadata: {} } });
      const rows = await use().owner.query("select attempt, status from ourvidz.usage order by attempt");
      expect(rows).toEqual([
        { attempt: 1, status: "failed" },
        { attempt: 2, status: "completed" },
      ]);
    });
  });

  describe("sweep_expired", () => {
    test("brings jobs of dead containers back without a claim", async () => {
      const [lost, cancelled] = [await enqueue(use()), await enqueue(use())];
      await claim(use(), 2);
      await rpc(use(), "request_cancel", { job_id: cancelled });
      await expire(lost);
      await expire(cancelled);
      expect(await rpc(use(), "sweep_expired")).toEqual({ expired: 2, overdue: 0, deleted: 0 });
      expect(await rowOf(use(), lost)).toMatchObject({
        status: "queued",
        attempt: 1,
        error: { code: "LEASE_EXPIRED" },
      });
      expect(await statusOf(use(), cancelled)).toBe("cancelled");
    });

    test("forgets old jobs, but not what they cost", async () => {
      const old = await enqueue(use());
      await settle(use(), await claimOne(use()), { call: "complete", result: { assets: [], metadata: {} } });
      await use().owner.query("update ourvidz.jobs set settled_at = settled_at - interval '31 days'");
      const recent = await enqueue(use());
      await settle(use(), await claimOne(use()), { call: "fail", error: failure });
      expect(await rpc(use(), "sweep_expired", { keep_days: 30 })).toEqual({ expired: 0, overdue: 0, deleted: 1 });
      expect(await use().owner.query("select id from ourvidz.jobs")).toEqual([{ id: recent }]);
      expect(await use().owner.query("select 1 from ourvidz.usage where job_id = $1", [old])).toHaveLength(1);
    });
  });
}
