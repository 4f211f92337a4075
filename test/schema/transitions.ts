import { describe, expect, test } from "vitest";
import { claimOne, enqueue, type Project, rowOf, settle, statusOf, type UseProject } from "./support.ts";

const statuses = ["queued", "running", "completed", "failed", "cancelled"] as const;
type Status = (typeof statuses)[number];

const legal: Readonly<Record<Status, readonly Status[]>> = {
  queued: ["running", "failed", "cancelled"],
  running: ["queued", "completed", "failed", "cancelled"],
  completed: [],
  failed: ["queued"],
  cancelled: [],
};

const pairs = statuses.flatMap((from) =>
  statuses.filter((to) => to !== from).map((to) => ({ from, to, isLegal: legal[from].includes(to) })),
);

/** A statement that would bring the row to a state, with the columns that go with it. */
const setTo: Readonly<Record<Status, string>> = {
  queued: "status = 'queued', settled_at = null, lease_expires_at = null",
  running:
    "status = 'running', settled_at = null, lease_token = 'by-hand', lease_expires_at = now() + interval '1 hour'",
  completed: "status = 'completed', settled_at = now(), lease_expires_at = null",
  failed: "status = 'failed', settled_at = now(), lease_expires_at = null",
  cancelled: "status = 'cancelled', settled_at = now(), lease_expires_at = null",
};

async function jobIn(project: Project, status: Status): Promise<string> {
  const jobId = await enqueue(project);
  if (status === "queued") return jobId;
  const lease = await claimOne(project);
  const error = { code: "HANDLER_FAILED", message: "the scheduler refused 0 steps" };
  if (status === "completed") await settle(project, lease, { call: "complete", result: { assets: [], metadata: {} } });
  if (status === "failed") await settle(project, lease, { call: "fail", error });
  if (status === "cancelled") await settle(project, lease, { call: "cancelled" });
  expect(await statusOf(project, jobId)).toBe(status);
  return jobId;
}

/** The state machine, whoever changes the row: the service may write to the table too. */
export function describeTransitions(use: UseProject): void {
  describe("states of a job", () => {
    test.each(pairs.filter((pair) => pair.isLegal))("$from → $to is legal", async ({ from, to }) => {
      const jobId = await jobIn(use(), from);
      await use().owner.query(`update ourvidz.jobs set ${setTo[to]} where id = $1`, [jobId]);
      expect(await statusOf(use(), jobId)).toBe(to);
    });

    test.each(pairs.filter((pair) => !pair.isLegal))("$from → $to is refused", async ({ from, to }) => {
      const jobId = await jobIn(use(), from);
      const before = await rowOf(use(), jobId);
      const update = use().owner.query(`update ourvidz.jobs set ${setTo[to]} where id = $1`, [jobId]);
      await expect(update).rejects.toMatchObject({ code: "PT409", message: expect.stringContaining(`is ${from}`) });
      expect(await rowOf(use(), jobId)).toEqual(before);
    });

    test.each(statuses.filter((status) => status !== "queued"))("a new job cannot be %s", async (status) => {
      const insert = use().owner.query(
        `insert into ourvidz.jobs (type, worker, source, bucket, element, status) values ('chat', 'chat', 'supabase', 'chat', '{}', $1)`,
        [status],
      );
      await expect(insert).rejects.toMatchObject({ code: "PT409" });
    });

    test("a settled job has a time of settling, and a running one a lease", async () => {
      const jobId = await jobIn(use(), "queued");
      const refused = { code: "23514" };
      const set = (change: string) => use().owner.query(`update ourvidz.jobs set ${change} where id = $1`, [jobId]);
      await expect(set("status = 'failed'")).rejects.toMatchObject(refused);
      await expect(set("status = 'running'")).rejects.toMatchObject(refused);
      await expect(set("settled_at = now()")).rejects.toMatchObject(refused);
      await expect(set("lease_expires_at = now()")).rejects.toMatchObject(refused);
    });
  });
}
