import { describe, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import {
  call,
  callback,
  claimOne,
  enqueue,
  type Project,
  rowOf,
  rpc,
  settle,
  statusOf,
  type TakenLease,
  take,
  type UseProject,
} from "./support.ts";

const failure = { code: "OUT_OF_MEMORY", message: "the GPU is full" };
const done = { call: "complete", result: { assets: [], metadata: {} } };

const past = "now() - interval '1 second'";
const cancel = (project: Project, jobId: string) => rpc(project, "request_cancel", { job_id: jobId });

/** Brings a new job to an end that no attempt settles, and returns its id. */
type Ending = (project: Project) => Promise<string>;

async function claimed(project: Project): Promise<TakenLease> {
  await enqueue(project);
  return claimOne(project);
}

const endings: readonly (readonly [string, object, Ending])[] = [
  [
    "a cancel while it waits",
    { status: "cancelled", attempt: 0, error: null },
    async (project) => {
      const jobId = await enqueue(project);
      await cancel(project, jobId);
      return jobId;
    },
  ],
  [
    "a cancel while it waits for its retry",
    { status: "cancelled", attempt: 1, error: null },
    async (project) => {
      const lease = await claimed(project);
      await settle(project, lease, { call: "retry", error: failure, delay_seconds: 60 });
      await cancel(project, lease.job_id);
      return lease.job_id;
    },
  ],
  [
    "a lease that ran out after its cancel was requested",
    { status: "cancelled", attempt: 1 },
    async (project) => {
      const { job_id } = await claimed(project);
      await cancel(project, job_id);
      await project.owner.query(`update ourvidz.jobs set lease_expires_at = ${past} where id = $1`, [job_id]);
      await rpc(project, "sweep_expired");
      return job_id;
    },
  ],
  [
    "a take that was never answered, of a job whose cancel was requested since",
    { status: "cancelled", attempt: 0 },
    async (project) => {
      const jobId = await enqueue(project);
      await rpc(project, "take_jobs", { worker_id: "w", requests: [{ worker: "sdxl", slots: 1 }], ticket: "lost" });
      await cancel(project, jobId);
      await rpc(project, "take_jobs", {
        worker_id: "w",
        requests: [{ worker: "sdxl", slots: 0 }],
        unanswered: ["lost"],
      });
      await project.owner.query(`update ourvidz.job_ends set free_at = ${past}`);
      return jobId;
    },
  ],
  [
    "its limit of waiting",
    { status: "failed", attempt: 0, error: { code: "EXPIRED" } },
    async (project) => {
      const jobId = await enqueue(project, { fields: { config: { expires_in_seconds: 60 } } });
      await project.owner.query(`update ourvidz.jobs set expires_at = ${past} where id = $1`, [jobId]);
      return jobId;
    },
  ],
  [
    "the failure of a job that it depends on",
    { status: "failed", attempt: 0, error: { code: "DEPENDENCY_FAILED" } },
    async (project) => {
      const first = await enqueue(project);
      const second = await enqueue(project, { fields: { depends_on: [first] } });
      await settle(project, await claimOne(project), { call: "fail", error: failure });
      return second;
    },
  ],
  [
    "an operator at the database's own prompt",
    { status: "failed", attempt: 0 },
    async (project) => {
      const jobId = await enqueue(project);
      await project.owner.query("update ourvidz.jobs set status = 'failed', settled_at = now() where id = $1", [jobId]);
      return jobId;
    },
  ],
];

/** Ends that no attempt has brought about. */
export function describeEnds(use: UseProject): void {
  describe.each(endings)("an end by %s", (_what, expected, end) => {
    test("is given to one container, until it is reported", async () => {
      const job_id = await end(use());
      const { leases, ends } = await take(use());
      expect({ leases, ends }).toEqual({ leases: [], ends: [expect.objectContaining({ job_id, run: 1 })] });
      expect(ends).toMatchObject([{ ...expected, job: { id: job_id, type: "sdxl_image_fast" } }]);
      const { settled_at } = await rowOf(use(), job_id);
      expect(Math.abs(Number(ends[0]?.ended_at_ms) - new Date(String(settled_at)).getTime())).toBeLessThanOrEqual(1);
      expect((await take(use(), { container: "container-2" })).ends).toEqual([]);
      await use().owner.query(`update ourvidz.job_ends set free_at = ${past}`);
      expect((await take(use(), { container: "container-2" })).ends).toMatchObject([{ job_id }]);
      const reported = () => rpcNumber(use(), "ends_reported", { ends: [{ job_id, run: 1 }] });
      expect([await reported(), await reported()]).toEqual([1, 0]);
      expect(await use().owner.query("select 1 from ourvidz.job_ends")).toEqual([]);
    });

    test("finds its callback known already", async () => {
      const jobId = await end(use());
      await take(use());
      const status = await statusOf(use(), jobId);
      const answer = await rpc(use(), "apply_job_callback", callback(jobId, String(status), { run: 1 }));
      expect(answer).toMatchObject({ skipped: true, job_status: status });
    });
  });

  describe("an end", () => {
    test.each(["complete", "fail", "cancelled"])("that an attempt settles by %s is its own to report", async (call) => {
      const lease = await claimed(use());
      await settle(use(), lease, { ...done, call, error: failure });
      expect((await take(use())).ends).toEqual([]);
    });

    test.each(["retry", "release"])(
      "by %s of a job whose cancel was requested is its caller's for a while, then anybody's",
      async (call) => {
        const { job_id, token } = await claimed(use());
        await cancel(use(), job_id);
        const settlement = { job_id, token, call, error: failure, delay_seconds: 0, lease_seconds: 60 };
        for (const _ of ["first", "again"]) await rpc(use(), "settle_job", { settlement });
        expect((await take(use())).ends).toEqual([]);
        const [{ seconds } = { seconds: 0 }] = await use().owner.query(
          "select extract(epoch from free_at - now())::float8 as seconds from ourvidz.job_ends",
        );
        expect(seconds).toBeGreaterThan(50);
        expect(seconds).toBeLessThanOrEqual(60);
        await use().owner.query(`update ourvidz.job_ends set free_at = ${past}`);
        expect((await take(use())).ends).toMatchObject([{ job_id, status: "cancelled" }]);
      },
    );

    test("by a callback is its container's", async () => {
      const { job_id } = await claimed(use());
      await rpc(use(), "apply_job_callback", callback(job_id, "cancelled"));
      expect((await take(use())).ends).toEqual([]);
    });

    test("of a job on Redis is left there", async () => {
      const jobId = await enqueue(use(), { options: { source: "upstash" } });
      expect(await cancel(use(), jobId)).toMatchObject({ outcome: "cancelled" });
      expect((await take(use())).ends).toEqual([]);
    });

    test("is forgotten when its job is redriven, and the next run's is another", async () => {
      const jobId = await enqueue(use());
      const fail = () =>
        use().owner.query("update ourvidz.jobs set status = 'failed', settled_at = now() where id = $1", [jobId]);
      await fail();
      await rpc(use(), "redrive_job", { job_id: jobId });
      expect((await take(use(), { slots: 0 })).ends).toEqual([]);
      await fail();
      expect(await rpcNumber(use(), "ends_reported", { ends: [{ job_id: jobId, run: 1 }] })).toBe(0);
      expect((await take(use())).ends).toMatchObject([{ job_id: jobId, run: 2 }]);
    });

    test("comes again at once when the answer that named it was lost", async () => {
      const jobId = await enqueue(use());
      await cancel(use(), jobId);
      await take(use(), { more: { ticket: "lost" } });
      expect((await take(use(), { more: { ticket: "next", unanswered: ["lost"] } })).ends).toMatchObject([
        { job_id: jobId },
      ]);
    });

    test("wakes whoever waits, and does so again when nobody has reported it", async () => {
      const jobId = await enqueue(use());
      await cancel(use(), jobId);
      const due = () => rpc(use(), "due_jobs", { workers: ["sdxl"] });
      expect(await due()).toMatchObject({ due: [expect.stringContaining(`end:${jobId}:`)], next_ms: null });
      await take(use());
      expect(await due()).toMatchObject({ due: [], next_ms: expect.any(Number) });
    });

    test("goes with its job", async () => {
      await cancel(use(), await enqueue(use()));
      await use().owner.query("delete from ourvidz.jobs");
      expect((await take(use())).ends).toEqual([]);
    });

    test("is one of at most a hundred that a take answers", async () => {
      for (let place = 0; place < 101; place += 1) await cancel(use(), await enqueue(use()));
      expect((await take(use())).ends).toHaveLength(100);
      expect((await take(use())).ends).toHaveLength(1);
    });
  });

  describe("settle_job", () => {
    test.each([
      ["complete", false, "completed"],
      ["fail", false, "failed"],
      ["cancelled", false, "cancelled"],
      ["retry", false, "requeued"],
      ["release", false, "requeued"],
      ["retry", true, "cancelled"],
      ["release", true, "cancelled"],
    ])("by %s, cancel requested: %s, says twice that the job is %s", async (call, isCancelled, became) => {
      const { job_id, token } = await claimed(use());
      if (isCancelled) await cancel(use(), job_id);
      const settlement = { ...done, job_id, token, call, error: failure, delay_seconds: 9 };
      for (const _ of ["first", "again"]) {
        expect(await rpc(use(), "settle_job", { settlement })).toEqual({ outcome: "settled", became });
      }
    });

    test("says nothing of a lease that is not held", async () => {
      const { job_id } = await claimed(use());
      const settlement = { ...done, job_id, token: "another" };
      expect(await rpc(use(), "settle_job", { settlement })).toEqual({ outcome: "lost" });
      expect(await statusOf(use(), job_id)).toBe("running");
    });
  });
}

async function rpcNumber(project: Project, name: string, args: object): Promise<number> {
  const { status, body } = await call(project, service, name, { ...args });
  expect(status).toBe(200);
  return Number(body);
}
