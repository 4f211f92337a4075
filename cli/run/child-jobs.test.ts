import { expect, test } from "vitest";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";
import { openHarness } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { ChildJobs } from "./child-jobs.ts";

const leaf = defineHandler({
  type: "leaf",
  worker: "green",
  produces: "nothing",
  input: jobEnvelope,
  retry: { maxAttempts: 1, timeoutSeconds: 60 },
  run: async () => ({}),
});

test("finds all jobs of a run in the order in which they were made, and those that come meanwhile", async () => {
  const { source, advance, close } = await openHarness({ durable: false });
  const add = async (id: string, type = "leaf") => {
    await advance(1);
    await source.enqueue(jobEnvelope.parse({ id, type }), { worker: "green" });
  };
  const container = {
    queue: {
      list: async (query: Parameters<typeof source.list>[0]) => ({ ...(await source.list(query)), unreachable: [] }),
    },
    registry: { get: (type: string) => (type === "leaf" ? leaf : undefined) },
  };
  const ids = Array.from({ length: 450 }, (_, index) => `leaf-${index}`);
  await add("parent");
  for (const id of ids) await add(id);
  await add("unknown", "flower");
  const made = new ChildJobs("parent");
  const found: (string | undefined)[] = [];
  for (let count = 0; count < 449; count++) found.push((await made.next(container))?.job.id);
  await add("late");
  for (let count = 0; count < 3; count++) found.push((await made.next(container))?.job.id);
  expect(found).toEqual([...ids, "late", undefined]);
  await close();
});
