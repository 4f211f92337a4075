import { describe, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import {
  ann,
  bob,
  call,
  callback,
  enqueue,
  everything,
  type Json,
  object,
  rowOf,
  rpc,
  rpcList,
  type UseProject,
} from "./support.ts";

const job = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn" };

export function describeEnqueueing(use: UseProject): void {
  describe("enqueue_job", () => {
    test("makes a row with what the app shows, and keeps the job as it is on the wire", async () => {
      const answer = await rpc(use(), "enqueue_job", {
        job: { ...job, user_id: ann, negative_prompt: "blurry", priority: 3, config: { seed: 0 } },
        options: { source: "supabase" },
      });
      expect(answer).toMatchObject({ created: true, position: 1, queue: "sdxl_queue", status: "queued" });
      expect(await rowOf(use(), String(answer.job_id))).toMatchObject({
        user_id: ann,
        prompt: job.prompt,
        negative_prompt: "blurry",
        priority: 3,
        bucket: "sdxl_image_fast",
        element: { ...job, id: answer.job_id, config: { seed: 0 } },
      });
    });

    test("gives a job the bucket of its type's row, also on the wire, where a container sees it", async () => {
      const { owner } = use();
      const id = crypto.randomUUID();
      const named = crypto.randomUUID();
      await owner.query("update ourvidz.job_types set bucket = 'pictures' where type = 'sdxl_image_fast'");
      const make = (wanted: Json) => rpc(use(), "enqueue_job", { job: { ...job, ...wanted } });
      const answers = [await make({ id }), await make({ id }), await make({ id: named, bucket: "own" })];
      const rows = [await rowOf(use(), id), await rowOf(use(), named)];
      const pushed = await rpcList(use(), "queue_outbox_due", { older_than_seconds: 0 });
      await owner.query("update ourvidz.job_types set bucket = type where type = 'sdxl_image_fast'");
      await owner.query("delete from storage.buckets where id = 'pictures'");
      expect(answers.map(({ created }) => created)).toEqual([true, false, true]);
      expect(rows.map(({ bucket }) => bucket)).toEqual(["pictures", "own"]);
      const elements = [rows[0]?.element, answers[0]?.element, pushed.find(({ job_id }) => job_id === id)?.element];
      for (const element of elements) expect(element).toMatchObject({ id, bucket: "pictures" });
      expect(await make({ id })).toMatchObject({ created: false, job_id: id });
      const other = await call(use(), service, "enqueue_job", { job: { ...job, id, bucket: "other" } });
      expect(other).toMatchObject({ status: 409, body: { hint: "IDEMPOTENCY_CONFLICT" } });
    });

    test.each([
      ["an unknown job type", { job: { type: "no_such_type" } }, 422, "UNKNOWN_JOB_TYPE"],
      ["no type", { job: { prompt: "a pond" } }, 422, "INVALID_JOB"],
      ["what is no object", { job: ["sdxl_image_fast"] }, 422, "INVALID_JOB"],
      ["an id that is no UUID", { job: { ...job, id: "job-1" } }, 422, "INVALID_JOB"],
      ["a user that is not there", { job: { ...job, user_id: crypto.randomUUID() } }, 422, "INVALID_JOB"],
      ["a user that is no UUID", { job: { ...job, user_id: "ann" } }, 422, "INVALID_JOB"],
      ["dependencies that are no list", { job: { ...job, depends_on: "x" } }, 422, "INVALID_JOB"],
    ])("refuses %s, and writes nothing", async (_what, args: Json, status, hint) => {
      const before = await everything(use());
      const answer = await call(use(), service, "enqueue_job", args);
      expect(answer).toMatchObject({ status, body: { hint } });
      expect(await everything(use())).toEqual(before);
    });

    test("takes a type that only the container knows, when it names the worker", async () => {
      const answer = await rpc(use(), "enqueue_job", { job: { type: "own_type" }, options: { worker: "media" } });
      expect(answer.queue).toBe("media_queue");
    });

    test("holds a user to the number of jobs that may wait", async () => {
      for (let place = 0; place < 2; place += 1) await enqueue(use(), { user: ann, options: { max_waiting: 2 } });
      const refused = await call(use(), service, "enqueue_job", {
        job: { ...job, user_id: ann },
        options: { max_waiting: 2 },
      });
      expect(refused).toMatchObject({ status: 429, body: { hint: "TOO_MANY_JOBS" } });
      await enqueue(use(), { user: bob, options: { max_waiting: 2 } });
    });

    test("knows its own job when it is said again with the same request", async () => {
      const id = crypto.randomUUID();
      const args = { job: { ...job, id }, options: { request: "call-1" } };
      expect(await rpc(use(), "enqueue_job", args)).toMatchObject({ created: true });
      expect(await rpc(use(), "enqueue_job", args)).toMatchObject({ created: true });
      expect(await rpc(use(), "enqueue_job", { ...args, options: {} })).toMatchObject({ created: false });
    });

    test("does not tell one user of another's job", async () => {
      const id = await enqueue(use(), { user: ann });
      const answer = await call(use(), service, "enqueue_job", { job: { ...job, id, user_id: bob } });
      expect(answer).toMatchObject({ status: 409, body: { hint: "IDEMPOTENCY_CONFLICT", details: "" } });
    });
  });
  describeOutbox(use);
}

function describeOutbox(use: UseProject): void {
  const toRedis = { options: { source: "upstash" } };
  const due = (older = 0) => rpcList(use(), "queue_outbox_due", { max_rows: 10, older_than_seconds: older });

  describe("the outbox towards Redis", () => {
    test("has a row for each job of the source upstash, written with it", async () => {
      const jobId = await enqueue(use(), toRedis);
      await enqueue(use());
      expect(await due()).toEqual([
        { job_id: jobId, queue: "sdxl_queue", element: (await rowOf(use(), jobId)).element },
      ]);
    });

    test("gives a row to one caller at a time, and a new one to the call that made it", async () => {
      await enqueue(use(), toRedis);
      expect(await due(10)).toEqual([]);
      expect(await due()).toHaveLength(1);
      expect(await due()).toEqual([]);
      await use().owner.query("update ourvidz.queue_outbox set next_try_at = now() - interval '1 second'");
      expect(await due(10)).toHaveLength(1);
    });

    test("forgets what was pushed, and tries again later what was not", async () => {
      const [pushed, failed] = [await enqueue(use(), toRedis), await enqueue(use(), toRedis)];
      const done = await call(use(), service, "queue_outbox_done", { job_ids: [pushed, crypto.randomUUID()] });
      expect(done.body).toBe(1);
      const noted = await call(use(), service, "queue_outbox_failed", { job_ids: [failed], error: "no answer" });
      expect(noted.body).toBe(1);
      const rows = await use().owner.query(
        "select job_id, last_error, next_try_at > now() as later from ourvidz.queue_outbox",
      );
      expect(rows).toEqual([{ job_id: failed, last_error: "no answer", later: true }]);
      expect(await due()).toEqual([]);
    });

    test("forgets an element of which a container has spoken, and has a redriven one anew", async () => {
      const jobId = await enqueue(use(), toRedis);
      await rpc(use(), "apply_job_callback", callback(jobId, "failed"));
      expect(await due()).toEqual([]);
      await rpc(use(), "redrive_job", { job_id: jobId });
      expect(await due()).toMatchObject([{ job_id: jobId, element: { id: jobId } }]);
      await rpc(use(), "apply_job_callback", callback(jobId, "processing"));
      await use().owner.query("update ourvidz.queue_outbox set next_try_at = now() - interval '1 hour'");
      expect(await due()).toEqual([]);
    });

    test("keeps a job with a delay until its time", async () => {
      await enqueue(use(), { options: { source: "upstash", delay_seconds: 3600 } });
      expect(await due()).toEqual([]);
    });

    test("is where a cancelled job ends that was never pushed", async () => {
      const jobId = await enqueue(use(), toRedis);
      expect(await rpc(use(), "request_cancel", { job_id: jobId })).toMatchObject({
        outcome: "cancelled",
        source: "upstash",
      });
      expect(await due()).toEqual([]);
    });

    test("leaves a pushed job's cancel to Redis, and the end to whoever heard of it there", async () => {
      const jobId = await enqueue(use(), toRedis);
      await rpc(use(), "queue_outbox_due", { max_rows: 10, older_than_seconds: 0 });
      await call(use(), service, "queue_outbox_done", { job_ids: [jobId] });
      const requested = await rpc(use(), "request_cancel", { job_id: jobId });
      expect(requested).toMatchObject({ outcome: "requested", job_status: "queued", attempt: 1 });
      const report = { job_id: jobId, status: "cancelled", attempt: requested.attempt, metadata: {} };
      expect(object(await rpc(use(), "apply_job_callback", { callback: report }))).toMatchObject({
        applied: true,
        job_status: "cancelled",
      });
    });
  });
}
