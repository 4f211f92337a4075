import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FunctionAnswer, startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/*
 * The process of the functions is killed between the steps of queue-job. Whatever step that is, the user's second try
 * with the same idempotency key and the calls that follow leave exactly one row and exactly one element.
 */
let project: TestProject;
let ann: TestUser;

beforeAll(async () => {
  project = await startProject();
  ann = await project.addUser();
}, 120_000);
afterAll(() => project.stop());
beforeEach(() => project.reset());

const body = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn", idempotency_key: "order-1" };
const queue = () => project.call("queue-job", { body, headers: ann.headers });
const count = async (table: string) => (await project.database.query(`select 1 from ourvidz.${table}`)).length;
const enqueueing = "/rest/v1/rpc/enqueue_job";
const forgetting = "/rest/v1/rpc/queue_outbox_done";

/** What the world looks like after the kill: rows, rows of the outbox, elements. */
interface Wreck {
  readonly rows: number;
  readonly outbox: number;
  readonly elements: number;
}

function killAtDoor(path: string, fault: "drop" | "lose"): void {
  project.faults.door = (asked) => {
    if (asked !== path) return undefined;
    project.faults.door = undefined;
    void project.functions.kill();
    return fault;
  };
}

function killAtQueue(at: "before" | "after"): void {
  project.faults.queue = () => {
    project.faults.queue = undefined;
    void project.functions.kill();
    return { kind: "drop", at };
  };
}

describe("a function that is killed", () => {
  test.each<[string, () => void, Wreck]>([
    ["before the row", () => killAtDoor(enqueueing, "drop"), { rows: 0, outbox: 0, elements: 0 }],
    ["after the row", () => killAtDoor(enqueueing, "lose"), { rows: 1, outbox: 1, elements: 0 }],
    ["before the push", () => killAtQueue("before"), { rows: 1, outbox: 1, elements: 0 }],
    ["after the push", () => killAtQueue("after"), { rows: 1, outbox: 1, elements: 1 }],
    ["before the outbox forgets", () => killAtDoor(forgetting, "drop"), { rows: 1, outbox: 1, elements: 1 }],
    ["after the outbox forgot", () => killAtDoor(forgetting, "lose"), { rows: 1, outbox: 0, elements: 1 }],
  ])("%s leaves one row and one element in the end", async (_when, arm, wreck) => {
    arm();
    await expect(queue()).rejects.toThrow();
    await project.functions.kill();
    await untilTrue(async () => {
      const elements = await project.gateway.client().llen("sdxl_queue");
      const found = { rows: await count("jobs"), outbox: await count("queue_outbox"), elements };
      return JSON.stringify(found) === JSON.stringify(wreck);
    });

    await project.functions.restart();
    const again = await queue();
    expect(again).toMatchObject({ status: 202, body: { created: wreck.rows === 0 } });
    await project.ageOutbox();
    await sweep(again);
    await untilTrue(async () => (await count("queue_outbox")) === 0);
    const { leases } = await project.container().take([{ worker: "sdxl", slots: 9 }]);
    expect(leases.map(({ jobId }) => jobId)).toEqual([again.body.job_id]);
    expect(await count("jobs")).toBe(1);
  });
});

test("a queue that goes away under many requests loses and doubles none of them", async () => {
  let asked = 0;
  // Every second request of the queue's is cut: half of these before it was applied, half after.
  project.faults.queue = () => {
    asked += 1;
    return asked % 2 === 0 ? { kind: "drop", at: asked % 4 === 0 ? "after" : "before" } : undefined;
  };
  const users = await Promise.all(Array.from({ length: 4 }, () => project.addUser()));
  const answers = await Promise.all(
    users.flatMap(({ headers }) =>
      Array.from({ length: 5 }, (_, seed) =>
        project.call("queue-job", {
          body: { type: "sdxl_image_fast", prompt: "a harbour", config: { seed } },
          headers,
        }),
      ),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(202));
  project.faults.queue = undefined;
  const [first] = answers;
  if (first === undefined) throw new Error("twenty were asked");
  while ((await count("queue_outbox")) > 0) {
    await project.ageOutbox();
    await sweep(first);
  }
  const { leases } = await project.container().take([{ worker: "sdxl", slots: 99 }]);
  const ids = (list: readonly FunctionAnswer[]) => list.map((answer) => answer.body.job_id).toSorted();
  expect(leases.map(({ jobId }) => jobId).toSorted()).toEqual(ids(answers));
  expect(await count("jobs")).toBe(20);
});

/** Any call of anybody sweeps; this one asks for a job. */
async function sweep({ body: { job_id } }: FunctionAnswer): Promise<void> {
  const headers = { Authorization: `Bearer ${project.door.serviceKey}` };
  await project.call("job-status", { query: `?job_id=${job_id}`, headers });
}

async function untilTrue(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20));
}
