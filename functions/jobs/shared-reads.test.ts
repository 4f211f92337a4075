import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { readShared, untilSharedTurn } from "./shared-reads.ts";

it("is one read for all in one turn, and another one in the next", async () => {
  let reads = 0;
  const queue = {
    async get() {
      reads++;
      return null;
    },
  };
  await Promise.all(Array.from({ length: 500 }, () => readShared(queue, "a")));
  expect(reads).toBe(1);
  await Promise.all([readShared(queue, "b"), readShared({ get: queue.get }, "a")]);
  expect(reads).toBe(3);
  await nextTurn();
  await readShared(queue, "a");
  expect(reads).toBe(4);
});

it("a read that fails is not kept", async () => {
  const answers = [() => Promise.reject(new Error("away")), async () => null];
  const queue = { get: () => answers.shift()?.() ?? Promise.resolve(null) };
  await expect(readShared(queue, "a")).rejects.toThrow("away");
  await nextTurn();
  expect(await readShared(queue, "a")).toBeNull();
});

it.each([
  [500, 0, 500],
  [500, 249, 251],
  [500, 250, 500],
  [500, 1300, 450],
])("at most %i ms, at %i: in %i ms", (max, now, wait) => expect(untilSharedTurn(max, now)).toBe(wait));
