import { describe, expect, test } from "vitest";
import { service, user } from "../support/supabase/database.ts";
import {
  ann,
  bob,
  call,
  callback,
  claim,
  claimOne,
  enqueue,
  imageOf,
  rpc,
  rpcList,
  settle,
  type UseProject,
} from "./support.ts";

export function describeOperators(use: UseProject): void {
  describe("request_cancel", () => {
    test("ends a queued job at once and asks a running one's container", async () => {
      const [running, queued] = [await enqueue(use()), await enqueue(use())];
      const lease = await claimOne(use());
      expect(await rpc(use(), "request_cancel", { job_id: queued })).toMatchObject({ outcome: "cancelled" });
      expect(await rpc(use(), "request_cancel", { job_id: running })).toMatchObject({ outcome: "requested" });
      const tokens = [lease.token, "another"];
      expect((await call(use(), service, "changed_leases", { tokens })).body).toEqual(tokens);
      const settled = await call(use(), user(ann), "request_cancel", { job_id: queued });
      expect(settled.status).toBe(404);
      expect(await call(use(), service, "request_cancel", { job_id: queued })).toMatchObject({
        status: 409,
        body: { hint: "JOB_ALREADY_SETTLED", details: '{"status": "cancelled"}' },
      });
    });
  });

  describe("a call that is repeated with its name", () => {
    test("cancels and redrives once, and another call is refused", async () => {
      const jobId = await enqueue(use());
      const cancel = (request?: string) => call(use(), service, "request_cancel", { job_id: jobId, request });
      for (const _ of ["first", "again"]) expect(await cancel("a")).toMatchObject({ body: { outcome: "cancelled" } });
      expect(await cancel("b")).toMatchObject({ status: 409 });
      expect(await cancel()).toMatchObject({ status: 409 });
      const other = await enqueue(use());
      const error = { code: "INTERNAL", message: "x" };
      const redrive = (request?: string) => call(use(), service, "redrive_job", { job_id: other, request });
      expect(await redrive()).toMatchObject({ status: 409, body: { hint: "JOB_NOT_FAILED" } });
      await settle(use(), await claimOne(use()), { call: "fail", error });
      for (const _ of ["first", "again"]) expect(await redrive("a")).toMatchObject({ body: { job_status: "queued" } });
      await settle(use(), await claimOne(use()), { call: "fail", error });
      expect(await redrive("a")).toMatchObject({ status: 200, body: { job_status: "failed" } });
      expect(await redrive("b")).toMatchObject({ status: 200, body: { job_status: "queued" } });
      expect(await redrive("c")).toMatchObject({ status: 409 });
    });
  });

  describe("discard_jobs", () => {
    test("deletes what has ended, and leaves its usage and every other job", async () => {
      const [done, open, waiting] = [await enqueue(use()), await enqueue(use()), await enqueue(use())];
      await settle(use(), await claimOne(use()), { call: "complete", result: { assets: [imageOf(done, null)] } });
      await rpc(use(), "request_cancel", { job_id: open });
      const nobody = "00000000-0000-4000-8000-000000000009";
      const discard = (more = {}) =>
        call(use(), service, "discard_jobs", { job_ids: [done, open, waiting, nobody], ...more });
      expect((await discard({ only_source: "upstash" })).body).toEqual(["missing", "missing", "missing", "missing"]);
      expect((await discard()).body).toEqual(["discarded", "unreported", "queued", "missing"]);
      const kept = await use().owner.query("select id from ourvidz.jobs order by sequence");
      expect(kept.map(({ id }) => id)).toEqual([open, waiting]);
      for (const table of ["assets", "job_attempts"])
        expect(await use().owner.query(`select from ourvidz.${table} where job_id = '${done}'`)).toEqual([]);
      expect(await use().owner.query(`select from ourvidz.usage where job_id = '${done}'`)).toHaveLength(1);
    });

    test("and its like are not for users", async () => {
      for (const name of ["discard_jobs", "cancel_jobs"])
        expect((await call(use(), user(ann), name, { job_ids: [] })).status).toBeGreaterThan(400);
    });
  });

  describe("looking", () => {
    test("list_jobs tells users, types, sources and pages apart", async () => {
      const jobs = [
        await enqueue(use(), { user: ann }),
        await enqueue(use(), { user: bob, type: "video_fast" }),
        await enqueue(use(), { options: { source: "upstash" } }),
      ];
      const ids = async (filter: object) =>
        (await rpcList(use(), "list_jobs", { filter })).map(({ job }) =>
          jobs.findIndex((id) => JSON.stringify(job).includes(id)),
        );
      expect(await ids({})).toEqual([2, 1, 0]);
      expect(await ids({ user_id: ann })).toEqual([0]);
      expect(await ids({ user_id: "anonymous" })).toEqual([2]);
      expect(await ids({ user_id: "nobody" })).toEqual([]);
      expect(await ids({ type: "video_fast" })).toEqual([1]);
      expect(await ids({ source: "supabase", status: "queued" })).toEqual([1, 0]);
      expect(await ids({ limit: 1 })).toEqual([2, 1]);
    });

    test("get_job answers null for what is not there", async () => {
      expect(await call(use(), service, "get_job", { job_id: crypto.randomUUID() })).toEqual({
        status: 200,
        body: null,
      });
    });

    test("queue_stats count what is due, what waits for a time or another job, what runs and what failed", async () => {
      const first = await enqueue(use());
      await enqueue(use(), { fields: { depends_on: [first] } });
      await enqueue(use(), { options: { delay_seconds: 60 } });
      await enqueue(use());
      await enqueue(use());
      const [failing] = await claim(use(), 2);
      if (failing !== undefined)
        await settle(use(), failing, { call: "retry", error: { code: "INTERNAL", message: "x" }, delay_seconds: 9 });
      const [stats] = await rpcList(use(), "queue_stats");
      expect(stats).toMatchObject({ queue: "sdxl_queue", queued: 1, delayed: 3, running: 1, failed: 0 });
    });

    test("system_metrics tell of queues, ends, containers and the outbox", async () => {
      const jobId = await enqueue(use(), { user: ann, options: { source: "upstash" } });
      const end = { assets: [imageOf(jobId, ann)], metadata: { generation_time: 8 } };
      await rpc(use(), "apply_job_callback", callback(jobId, "completed", end));
      await rpc(use(), "register_worker", { worker: { worker_id: "w", worker_url: "https://worker.example" } });
      expect(await rpc(use(), "system_metrics")).toMatchObject({
        last_hour: { completed: 1, failed: 0, mean_generation_seconds: 8 },
        gpu_seconds_last_day: 8,
        workers: [{ worker_id: "w" }],
        outbox: { waiting: 0, failing: 0, oldest_seconds: null },
      });
    });
  });
}
