import { describe, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import {
  ann,
  call,
  callback,
  claimOne,
  enqueue,
  everything,
  imageOf,
  type Json,
  rowOf,
  rpc,
  rpcList,
  settle,
  statusOf,
  type UseProject,
} from "./support.ts";

const overRedis = { user: ann, options: { source: "upstash" } };

export function describeCallbacks(use: UseProject): void {
  const apply = (jobId: string, status: string, more: Json = {}) =>
    rpc(use(), "apply_job_callback", callback(jobId, status, more));
  const progress = (value: number, attempt = 1) => ({ attempt, metadata: { progress: value } });

  describe("callbacks of a job that goes over Redis", () => {
    test("bring it from the queue to its end, with all that the container says", async () => {
      const jobId = await enqueue(use(), overRedis);
      expect(await apply(jobId, "processing", progress(0.4))).toMatchObject({ applied: true, job_status: "running" });
      expect(await rowOf(use(), jobId)).toMatchObject({ status: "running", progress: 0.4, attempt: 1 });
      const metadata = {
        seed: 42,
        generation_time: 15.5,
        queue_time: 1.2,
        worker_id: "w",
        worker_version: "1",
        enhanced_prompt: "a tall lighthouse",
      };
      const assets = [imageOf(jobId, ann, 0), imageOf(jobId, ann, 1)];
      expect(await apply(jobId, "completed", { assets, metadata, text: "a note" })).toEqual({
        applied: true,
        skipped: false,
        reason: null,
        job_id: jobId,
        job_status: "completed",
        job_type: "sdxl_image_fast",
        run: 1,
        attempt: 1,
        user_id: ann,
        assets: 2,
      });
      expect(await rowOf(use(), jobId)).toMatchObject({
        status: "completed",
        progress: 1,
        metadata,
        generation_seconds: 15.5,
        queue_seconds: 1.2,
        worker_id: "w",
        worker_version: "1",
        enhanced_prompt: "a tall lighthouse",
        result: { assets, metadata, text: "a note" },
      });
      const rows = await use().owner.query(
        "select index, bucket, path, size_bytes::int as bytes from ourvidz.assets order by index",
      );
      expect(rows).toEqual(
        [0, 1].map((index) => ({
          index,
          bucket: "sdxl_image_fast",
          path: `${ann}/${jobId}/${index}.png`,
          bytes: 1000 + index,
        })),
      );
    });

    test("may come without one of the earlier ones", async () => {
      const jobId = await enqueue(use(), overRedis);
      await apply(jobId, "completed", { assets: [imageOf(jobId, ann)] });
      expect(await statusOf(use(), jobId)).toBe("completed");
    });

    test("keep the reason of a failure", async () => {
      const jobId = await enqueue(use(), overRedis);
      await apply(jobId, "failed", {
        attempt: 3,
        error_message: "the GPU is full",
        metadata: { error_type: "OUT_OF_MEMORY" },
      });
      expect(await rowOf(use(), jobId)).toMatchObject({
        status: "failed",
        attempt: 3,
        error: { code: "OUT_OF_MEMORY", message: "the GPU is full" },
      });
    });

    test.each(["completed", "failed", "cancelled"])("change nothing after %s, whatever comes", async (end) => {
      const jobId = await enqueue(use(), overRedis);
      await apply(jobId, end, { assets: [imageOf(jobId, ann)] });
      const before = await everything(use());
      for (const status of ["processing", "completed", "failed", "cancelled"]) {
        const answer = await apply(jobId, status, {
          attempt: 2,
          assets: [imageOf(jobId, ann, 5)],
          ...(status === "processing" ? progress(0.1, 2) : {}),
        });
        expect(answer).toMatchObject({
          applied: false,
          skipped: true,
          job_status: end,
          reason: `the job is ${end} already`,
        });
      }
      expect(await everything(use())).toEqual(before);
    });

    test("never bring progress back within an attempt, and begin anew with the next", async () => {
      const jobId = await enqueue(use(), overRedis);
      const shown = async () => (await rowOf(use(), jobId)).progress;
      await apply(jobId, "processing", progress(0.6));
      await apply(jobId, "processing", progress(0.2));
      expect(await shown()).toBe(0.6);
      await apply(jobId, "processing", progress(0.1, 2));
      expect(await shown()).toBe(0.1);
      expect(await apply(jobId, "processing", progress(0.9, 1))).toMatchObject({ skipped: true });
      expect(await apply(jobId, "failed", { attempt: 1 })).toMatchObject({ skipped: true, job_status: "running" });
      expect(await shown()).toBe(0.1);
    });

    test("are counted once", async () => {
      const jobId = await enqueue(use(), overRedis);
      const end = { assets: [imageOf(jobId, ann)], metadata: { generation_time: 4 } };
      for (let count = 0; count < 3; count += 1) await apply(jobId, "completed", end);
      const rows = await use().owner.query("select gpu_seconds, files, bytes::int as bytes from ourvidz.usage");
      expect(rows).toEqual([{ gpu_seconds: 4, files: 1, bytes: 1000 }]);
    });
  });

  describe("a callback that is wrong", () => {
    const elsewhere: readonly (readonly [string, (jobId: string) => string])[] = [
      ["another user's folder", (jobId) => `${crypto.randomUUID()}/${jobId}/0.png`],
      ["another job's folder", () => `${ann}/${crypto.randomUUID()}/0.png`],
      ["a folder above", (jobId) => `${ann}/${jobId}/../../other/0.png`],
      ["an address", (jobId) => `https://elsewhere.example/${ann}/${jobId}/0.png`],
      ["a doubled slash", (jobId) => `${ann}/${jobId}//0.png`],
      ["a control character", (jobId) => `${ann}/${jobId}/0\n.png`],
    ];
    test.each(elsewhere)("is refused whole when a file is in %s", async (_what, pathOf) => {
      const jobId = await enqueue(use(), overRedis);
      const before = await everything(use());
      for (const name of ["url", "thumbnail_url"]) {
        const assets = [imageOf(jobId, ann, 0), { ...imageOf(jobId, ann, 1), [name]: pathOf(jobId) }];
        const answer = await call(use(), service, "apply_job_callback", callback(jobId, "completed", { assets }));
        expect(answer).toMatchObject({ status: 422, body: { hint: "ASSET_PATH_REFUSED" } });
      }
      expect(await everything(use())).toEqual(before);
    });

    test.each([
      ["of an unknown job", { job_id: crypto.randomUUID(), status: "failed" }, 404, "JOB_NOT_FOUND"],
      ["without a job", { status: "failed" }, 404, "JOB_NOT_FOUND"],
      ["of a status that is none", { job_id: crypto.randomUUID(), status: "done" }, 400, "INVALID_REQUEST"],
    ])("%s is refused", async (_what, body, status, hint) => {
      const answer = await call(use(), service, "apply_job_callback", { callback: body });
      expect(answer).toMatchObject({ status, body: { hint } });
    });

    test("that completes a job without its files is refused", async () => {
      const jobId = await enqueue(use(), overRedis);
      const answer = await call(use(), service, "apply_job_callback", callback(jobId, "completed", { assets: [] }));
      expect(answer).toMatchObject({ status: 422, body: { hint: "NO_ASSETS" } });
      expect(await statusOf(use(), jobId)).toBe("queued");
    });
  });
  describeClaimed(use, apply);
}

/** The container settles such a job too, before or after. */
function describeClaimed(use: UseProject, apply: (jobId: string, status: string, more?: Json) => Promise<Json>): void {
  const failure = { code: "OUT_OF_MEMORY", message: "the GPU is full" };
  const endings = {
    completed: { call: "complete", result: { assets: [], metadata: {} } },
    failed: { call: "fail", error: failure },
    cancelled: { call: "cancelled" },
  } as const;

  describe("callbacks of a job that a container has claimed", () => {
    test.each(["completed", "failed", "cancelled"] as const)(
      "agree with its settling: %s, in both orders",
      async (end) => {
        for (const order of ["callback first", "settling first"]) {
          const jobId = await enqueue(use(), { user: ann });
          const lease = await claimOne(use());
          const more = { assets: [imageOf(jobId, ann)], metadata: { generation_time: 3 } };
          if (order === "settling first") expect(await settle(use(), lease, endings[end])).toBe("settled");
          expect(await apply(jobId, end, more)).toMatchObject({ skipped: order === "settling first", job_status: end });
          if (order === "callback first") {
            const renewals = [{ job_id: jobId, token: lease.token }];
            const { body } = await call(use(), service, "renew_leases", { renewals });
            expect(body).toEqual(["held"]);
            expect(await settle(use(), lease, endings[end])).toBe("settled");
          }
          expect(await settle(use(), lease, endings[end])).toBe("settled");
          expect(await rowOf(use(), jobId)).toMatchObject({ status: end, lease_token: null });
          const other = end === "failed" ? endings.completed : endings.failed;
          expect(await settle(use(), lease, other)).toBe("lost");
        }
        expect(await use().owner.query("select 1 from ourvidz.usage")).toHaveLength(2);
      },
    );

    test("do not change who has it", async () => {
      const jobId = await enqueue(use(), { user: ann });
      await claimOne(use());
      await apply(jobId, "processing", {
        metadata: { progress: 0.5, worker_id: "an earlier one", worker_version: "2" },
      });
      const row = await rowOf(use(), jobId);
      expect(row).toMatchObject({ progress: 0.5, worker_id: "container-1", worker_version: "2" });
    });

    test("are of the attempt that is held, or nothing", async () => {
      const jobId = await enqueue(use(), { user: ann });
      expect(await apply(jobId, "processing")).toMatchObject({ skipped: true, job_status: "queued" });
      const lease = await claimOne(use());
      expect(await apply(jobId, "completed", { attempt: 2, assets: [imageOf(jobId, ann)] })).toMatchObject({
        skipped: true,
      });
      await settle(use(), lease, { call: "retry", error: failure, delay_seconds: 0 });
      expect(await apply(jobId, "completed", { assets: [imageOf(jobId, ann)] })).toMatchObject({ skipped: true });
      expect(await statusOf(use(), jobId)).toBe("queued");
    });

    test("are let in late, as long as nobody has claimed the job since", async () => {
      const jobId = await enqueue(use(), { user: ann });
      const lease = await claimOne(use());
      await use().owner.query("update ourvidz.jobs set lease_expires_at = now() - interval '1 second'");
      await rpc(use(), "sweep_expired");
      expect(await apply(jobId, "processing", { metadata: { progress: 0.5 } })).toMatchObject({
        skipped: true,
        job_status: "queued",
      });
      expect(await apply(jobId, "completed", { assets: [imageOf(jobId, ann)] })).toMatchObject({ applied: true });
      expect(await settle(use(), lease, endings.completed)).toBe("settled");
      const attempts = await rpcList(use(), "list_jobs", {});
      expect(attempts).toMatchObject([{ status: "completed", attempts: [{ outcome: "completed", error: null }] }]);
    });
  });
}
