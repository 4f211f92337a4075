import { describe, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import { ann, bob, call, claim, claimOne, enqueue, rowOf, rpc, settle, statusOf, type UseProject } from "./support.ts";

const done = { call: "complete", result: { assets: [], metadata: {} } };
const broken = { call: "fail", error: { code: "OUT_OF_MEMORY", message: "the GPU is full" } };

/** Jobs that wait for others, and jobs that belong to one. */
export function describeDependencies(use: UseProject): void {
  describe("a job that depends on others", () => {
    test("waits until all of them have completed", async () => {
      const [first, second] = [await enqueue(use()), await enqueue(use())];
      const last = await enqueue(use(), { fields: { depends_on: [first, second, first] } });
      const leases = await claim(use(), 5);
      expect(leases.map((lease) => lease.job_id)).toEqual([first, second]);
      for (const lease of leases) {
        expect(await claim(use(), 5)).toEqual([]);
        expect(await settle(use(), lease, done)).toBe("settled");
      }
      expect((await claim(use(), 5)).map((lease) => lease.job_id)).toEqual([last]);
    });

    test("is due from the moment on at which the last one has completed", async () => {
      const first = await enqueue(use());
      const last = await enqueue(use(), { fields: { depends_on: [first] } });
      await use().owner.query("update ourvidz.jobs set available_at = available_at - interval '1 hour'");
      const due = (answer: unknown) => JSON.stringify(answer);
      expect(due(await rpc(use(), "due_jobs", { workers: ["sdxl"] }))).not.toContain(
        `${String((await rowOf(use(), last)).sequence)}:`,
      );
      await settle(use(), await claimOne(use()), done);
      const [row] = await use().owner.query(
        "select now() - available_at < interval '1 minute' as recent from ourvidz.jobs where id = $1",
        [last],
      );
      expect(row).toEqual({ recent: true });
    });

    test("does not wait for one that has completed already", async () => {
      const first = await enqueue(use());
      await settle(use(), await claimOne(use()), done);
      const last = await enqueue(use(), { options: { depends_on: [first] } });
      expect((await claim(use())).map((lease) => lease.job_id)).toEqual([last]);
    });

    const ends: readonly (readonly [string, (jobId: string) => Promise<unknown>])[] = [
      ["failed", async () => settle(use(), await claimOne(use()), broken)],
      ["was cancelled", (jobId) => rpc(use(), "request_cancel", { job_id: jobId })],
      ["was deleted", (jobId) => use().owner.query("delete from ourvidz.jobs where id = $1", [jobId])],
    ];
    test.each(ends)("fails with those that depend on it, when one %s", async (what, end) => {
      const first = await enqueue(use());
      const second = await enqueue(use(), { fields: { depends_on: [first] } });
      const third = await enqueue(use(), { fields: { depends_on: [second] } });
      await end(first);
      expect(await rowOf(use(), second)).toMatchObject({
        status: "failed",
        error: {
          code: "DEPENDENCY_FAILED",
          message: expect.stringContaining(`${first}, on which this one depends, ${what}`),
        },
      });
      expect(await rowOf(use(), third)).toMatchObject({
        status: "failed",
        error: { code: "DEPENDENCY_FAILED", message: expect.stringContaining(second) },
      });
    });

    test("is refused when it can never run, or when the other is not its user's", async () => {
      const first = await enqueue(use(), { user: ann });
      await settle(use(), await claimOne(use()), broken);
      const job = { type: "sdxl_image_fast", prompt: "a pond", depends_on: [first] };
      const options = { source: "supabase" };
      const submit = (userId: string, more = {}) =>
        call(use(), service, "enqueue_job", { job: { ...job, user_id: userId, ...more }, options });
      expect(await submit(ann)).toMatchObject({ status: 424, body: { hint: "DEPENDENCY_FAILED" } });
      expect(await submit(bob)).toMatchObject({ status: 404, body: { hint: "JOB_NOT_FOUND" } });
      expect(await submit(ann, { depends_on: [crypto.randomUUID()] })).toMatchObject({ status: 404 });
      const toRedis = await call(use(), service, "enqueue_job", {
        job: { ...job, user_id: ann },
        options: { source: "upstash" },
      });
      expect(toRedis).toMatchObject({ status: 422, body: { hint: "UNSUPPORTED_OPTION" } });
    });

    test("is redriven after the one that failed it, not before", async () => {
      const first = await enqueue(use());
      const second = await enqueue(use(), { fields: { depends_on: [first] } });
      await settle(use(), await claimOne(use()), broken);
      const early = await call(use(), service, "redrive_job", { job_id: second });
      expect(early).toMatchObject({
        status: 424,
        body: { hint: "DEPENDENCY_FAILED", message: expect.stringContaining(first) },
      });
      await rpc(use(), "redrive_job", { job_id: first });
      await rpc(use(), "redrive_job", { job_id: second });
      const [lease, ...others] = await claim(use(), 5);
      expect({ first: lease?.job_id, others }).toEqual({ first, others: [] });
      if (lease !== undefined) await settle(use(), lease, done);
      expect((await claim(use())).map((each) => each.job_id)).toEqual([second]);
    });

    test("cannot be redriven when what it depends on is gone", async () => {
      const first = await enqueue(use());
      const second = await enqueue(use(), { fields: { depends_on: [first] } });
      await use().owner.query("delete from ourvidz.jobs where id = $1", [first]);
      expect((await call(use(), service, "redrive_job", { job_id: second })).status).toBe(424);
    });
  });

  describe("children", () => {
    test("are cancelled with their parent, queued ones at once", async () => {
      const parent = await enqueue(use(), { user: ann });
      const running = await enqueue(use(), { user: ann, fields: { metadata: { parent_job_id: parent } } });
      await claim(use(), 2);
      const queued = await enqueue(use(), { user: ann, options: { parent_job_id: running } });
      expect(await rpc(use(), "request_cancel", { job_id: parent })).toMatchObject({
        outcome: "requested",
        children: [{ job_id: running, outcome: "requested", children: [{ job_id: queued, outcome: "cancelled" }] }],
      });
      expect(await statusOf(use(), queued)).toBe("cancelled");
    });

    test("belong to a job of the same user only", async () => {
      const parent = await enqueue(use(), { user: ann });
      const child = await enqueue(use(), { user: bob, options: { parent_job_id: parent } });
      expect((await rowOf(use(), child)).parent_job_id).toBeNull();
    });
  });

  describe("a user who is deleted", () => {
    test("takes their jobs along, and leaves what they cost", async () => {
      const carol = crypto.randomUUID();
      await use().owner.query("insert into auth.users (id) values ($1)", [carol]);
      const first = await enqueue(use(), { user: carol });
      await enqueue(use(), { user: carol, fields: { depends_on: [first] } });
      const others = await enqueue(use(), { user: ann });
      await settle(use(), await claimOne(use()), broken);
      await use().owner.query("delete from auth.users where id = $1", [carol]);
      expect(await use().owner.query("select id from ourvidz.jobs")).toEqual([{ id: others }]);
      expect(await use().owner.query("select user_id from ourvidz.usage")).toEqual([{ user_id: null }]);
    });

    test("takes along jobs that still wait for each other", async () => {
      const carol = crypto.randomUUID();
      await use().owner.query("insert into auth.users (id) values ($1)", [carol]);
      const first = await enqueue(use(), { user: carol });
      const second = await enqueue(use(), { user: carol, fields: { depends_on: [first] } });
      await enqueue(use(), { user: carol, fields: { depends_on: [first, second] }, options: { parent_job_id: first } });
      await use().owner.query("delete from auth.users where id = $1", [carol]);
      expect(await use().owner.query("select id from ourvidz.jobs")).toEqual([]);
    });
  });
}
