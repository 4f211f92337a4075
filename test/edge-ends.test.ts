import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { signCallback } from "#contract/signature.ts";
import type { JobQueue, JobSource, Lease, Offer, UnreportedEnd } from "#runtime/sources/job-source.ts";
import { createSupabaseSource } from "#runtime/sources/supabase/supabase-source.ts";
import { createUpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/* An app hears of each of its jobs' ends once, whoever brought it about: by its user, an operator, or time. */

type Container = JobSource & JobQueue;
interface Kind {
  readonly name: "upstash" | "supabase";
  open(project: TestProject, workerId: string, leaseSeconds?: number): Container;
}

const kinds: readonly Kind[] = [
  {
    name: "upstash",
    open: ({ gateway: { url, token } }, workerId, leaseSeconds = 90) =>
      createUpstashSource({ url, token, workerId, leaseSeconds }),
  },
  {
    name: "supabase",
    open: ({ door: { url, serviceKey } }, workerId, leaseSeconds = 90) =>
      createSupabaseSource({ url, serviceKey, workerId, leaseSeconds }),
  },
];

const failure = { code: "OUT_OF_MEMORY", message: "the GPU is full" } as const;
const type = "sdxl_image_fast";

describe.each(kinds)("jobs of the source $name", ({ name, open }) => {
  let project: TestProject;
  let ann: TestUser;
  let first: Container;
  let second: Container;

  beforeAll(async () => {
    project = await startProject({ queue: name === "upstash" });
    ann = await project.addUser();
  }, 120_000);
  afterAll(() => project.stop());
  beforeEach(async () => {
    await project.reset();
    first = open(project, "container-1");
    second = open(project, "container-2");
    return async () => {
      await Promise.all([first.close(), second.close()]);
    };
  });

  async function queueOne(fields: object = {}): Promise<string> {
    const body = { type, prompt: "a lighthouse at dawn", ...fields };
    const answer = await project.call("queue-job", { body, headers: ann.headers });
    expect(answer).toMatchObject({ status: 202 });
    return String(answer.body.job_id);
  }

  const cancel = (job_id: string) => project.call("cancel-job", { body: { job_id }, headers: ann.headers });
  const look = async (job_id: string) =>
    (await project.call("job-status", { query: `?job_id=${job_id}`, headers: ann.headers })).body.job;
  const takeWith = (container: Container, offer?: Offer) =>
    container.take([{ worker: "sdxl", slots: 1, ...(offer === undefined ? {} : { offer }) }]);

  async function takeOne(container = first): Promise<Lease> {
    const [lease] = (await takeWith(container)).leases;
    if (lease === undefined) throw new Error("the job was due");
    return lease;
  }

  async function callback(report: object) {
    const body = new TextEncoder().encode(JSON.stringify({ assets: [], ...report }));
    const signed = await signCallback(project.callbackSecret, body);
    const headers = { Authorization: `Bearer ${project.door.serviceKey}`, ...signed };
    return (await project.call("job-callback", { body, headers })).body;
  }

  const starts = ({ jobId: job_id, run, attempt }: Lease) => callback({ job_id, status: "processing", run, attempt });

  /** What a container does with ends that it was given. */
  async function report(container: Container, ends: readonly UnreportedEnd[]) {
    const answers = [];
    for (const { jobId: job_id, run, attempt, status, error } of ends) {
      const metadata = error === undefined ? {} : { error_type: error.code };
      const body = { job_id, status, run, attempt: Math.max(attempt, 1), metadata, error_message: error?.message };
      answers.push(await callback(body));
    }
    await container.reported(ends);
    return answers;
  }

  /** Ends that the two containers are given, and what became of their callbacks. */
  async function reportAll() {
    const answers = [];
    for (const container of [first, second, first]) {
      answers.push(...(await report(container, (await takeWith(container, nothing)).ends)));
    }
    return answers;
  }

  const nothing: Offer = { types: [], defaultModelTypes: [], models: [] };

  test("a user cancels one that waits for its retry: it is so at once, and reported once", async () => {
    const jobId = await queueOne();
    const lease = await takeOne();
    await starts(lease);
    expect(await first.retry(lease, { error: failure, delaySeconds: 60 })).toBe("requeued");
    expect(await cancel(jobId)).toMatchObject({ status: 200, body: { outcome: "cancelled" } });
    expect(await look(jobId)).toMatchObject({ status: "cancelled", run: 1, attempt: 1 });
    expect(await reportAll()).toMatchObject([{ success: true, skipped: true, debug: { jobStatus: "cancelled" } }]);
    expect(await reportAll()).toEqual([]);
    expect(await look(jobId)).toMatchObject({ status: "cancelled" });
  });

  test("an operator cancels one at a container, before it ran or between two attempts", async () => {
    const [waiting, retried] = [await queueOne(), await queueOne({ config: { seed: 1 } })];
    for (const jobId of [waiting, retried]) {
      if (jobId === retried) {
        const lease = await takeOne();
        await starts(lease);
        await first.retry(lease, { error: failure, delaySeconds: 60 });
      } else {
        // What was pushed is filed by the first take.
        await takeWith(first, nothing);
      }
      expect(await second.cancel(jobId)).toBe("cancelled");
      expect(await reportAll()).toMatchObject([{ success: true, debug: { job_id: jobId, jobStatus: "cancelled" } }]);
      expect(await reportAll()).toEqual([]);
      expect(await look(jobId)).toMatchObject({ status: "cancelled" });
    }
  });

  test("one whose container died after its cancel was requested ends by another container's report", async () => {
    const jobId = await queueOne();
    const dying = open(project, "container-0", 1);
    await starts(await takeOne(dying));
    await dying.close();
    expect(await cancel(jobId)).toMatchObject({ status: 202, body: { outcome: "requested" } });
    const answers: unknown[] = [];
    await expect
      .poll(async () => answers.push(...(await reportAll())), { timeout: 20_000, interval: 200 })
      .toBeGreaterThan(0);
    expect(answers).toMatchObject([{ success: true, debug: { jobStatus: "cancelled" } }]);
    expect(await look(jobId)).toMatchObject({ status: "cancelled", run: 1, attempt: 1 });
    expect(await reportAll()).toEqual([]);
  });

  test("one that nobody can run waits in sight, and ends by its own limit", async () => {
    const jobId = await queueOne({ config: { expires_in_seconds: 2 }, model_variant: "no-such-model" });
    const offer: Offer = { types: [type], defaultModelTypes: [type], models: ["tiny-sdxl"] };
    await first.announce?.(new Map([["sdxl", offer]]));
    expect((await takeWith(first, offer)).leases).toEqual([]);
    const need = { type, model: "no-such-model" };
    expect(await first.get(jobId)).toMatchObject({ status: "queued", attempt: 0, waitingFor: need });
    expect(await first.stats()).toMatchObject([{ queue: "sdxl_queue", unoffered: [{ ...need, jobs: 1 }] }]);
    if (name === "supabase") expect(await look(jobId)).toMatchObject({ status: "queued", waiting_for: need });
    const answers: unknown[] = [];
    await expect
      .poll(async () => answers.push(...(await reportAll())), { timeout: 20_000, interval: 200 })
      .toBeGreaterThan(0);
    expect(answers).toMatchObject([{ success: true, debug: { jobStatus: "failed" } }]);
    const message = expect.stringContaining("no-such-model");
    expect(await look(jobId)).toMatchObject({ status: "failed", run: 1, error: { code: "EXPIRED", message } });
    expect(await reportAll()).toEqual([]);
  });

  test.each<readonly [string, Offer]>([
    ["the handler", { types: ["sdxl_image_high"], defaultModelTypes: ["sdxl_image_high"], models: ["tiny-sdxl"] }],
    ["the model", { types: [type], defaultModelTypes: [], models: ["another"] }],
  ])("go to the container that can run them, where the other lacks %s", async (_what, unable) => {
    const able: Offer = { types: [type], defaultModelTypes: [type], models: ["tiny-sdxl"] };
    const ids: string[] = [];
    for (let seed = 0; seed < 6; seed += 1) {
      const model = seed % 2 === 0 ? {} : { model_variant: "tiny-sdxl" };
      ids.push(await queueOne({ config: { seed }, ...model }));
    }
    const done: string[] = [];
    for (let round = 0; round < ids.length; round += 1) {
      expect(await takeWith(first, unable)).toEqual({ leases: [], ends: [] });
      const [lease] = (await takeWith(second, able)).leases;
      if (lease === undefined) throw new Error("a job was due");
      expect(lease.attempt).toBe(1);
      await second.complete(lease, { assets: [], metadata: {} });
      done.push(lease.jobId);
    }
    expect(done).toEqual(ids);
    // What it lacked is there now.
    const last = await queueOne();
    expect((await takeWith(first, able)).leases).toMatchObject([{ jobId: last, run: 1, attempt: 1 }]);
  });

  test("one that an operator redrives begins anew in its row, and hears no more of the run before", async () => {
    const jobId = await queueOne();
    const lease = await takeOne();
    await starts(lease);
    const fails = {
      job_id: jobId,
      status: "failed",
      run: lease.run,
      attempt: lease.attempt,
      error_message: "no memory",
    };
    await callback(fails);
    await first.fail(lease, failure);
    await second.redrive(jobId);
    const again = await takeOne(second);
    expect(again).toMatchObject({ jobId, run: 2, attempt: 1 });
    expect(await starts(again)).not.toHaveProperty("skipped");
    expect(await callback(fails)).toMatchObject({ skipped: true, debug: { jobStatus: "running" } });
    const assets = [{ type: "image", url: `${ann.id}/${jobId}/0.png`, index: 0 }];
    const completes = { job_id: jobId, status: "completed", run: 2, attempt: 1, assets };
    expect(await callback(completes)).not.toHaveProperty("skipped");
    expect(await look(jobId)).toMatchObject({ status: "completed", run: 2, attempt: 1 });
    expect(await second.complete(again, { assets: [], metadata: {} })).toBe("completed");
  });
});
