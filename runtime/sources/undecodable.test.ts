import { expect, test } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { discardUndecodable } from "./undecodable.ts";

/* What becomes of a discard when sources fail or time runs out; that it discards is tested on Redis itself. */

const { signal } = new AbortController();
const down = new CodedError("QUEUE_UNREACHABLE", "The queue does not answer.");

function source(discard: () => Promise<number>) {
  return { undecodable: { count: 0, repeated: 0, list: async () => [], discard } };
}

const failing = source(() => Promise.reject(down));
const holding = (elements: number) => source(async () => elements);

test("one that was not met before the time ran out may still be there", async () => {
  const time = new AbortController();
  const slow = source(async () => {
    time.abort();
    return 0;
  });
  const sources = new Map([["slow", slow]]);
  expect(await discardUndecodable(sources, { worker: "test", id: "a", signal: time.signal })).toBe(0);
});

test("one that no source has is not there", async () => {
  const sources = new Map([["one", holding(0)]]);
  await expect(discardUndecodable(sources, { worker: "test", id: "a", signal })).rejects.toMatchObject({
    code: "NOT_FOUND",
  });
});

test("a source that fails keeps no other from it, and is reported unless the one that is named was met", async () => {
  const sources = new Map([
    ["down", failing],
    ["up", holding(1)],
  ]);
  expect(await discardUndecodable(sources, { worker: "test", id: "a", signal })).toBe(1);
  let reached = false;
  const all = new Map([
    ["down", failing],
    [
      "up",
      source(async () => {
        reached = true;
        return 3;
      }),
    ],
  ]);
  await expect(discardUndecodable(all, { worker: "test", signal })).rejects.toBe(down);
  expect(reached).toBe(true);
});

test("one that may be in a source that fails is not said to be gone", async () => {
  const sources = new Map([
    ["up", holding(0)],
    ["down", failing],
  ]);
  await expect(discardUndecodable(sources, { worker: "test", id: "a", signal })).rejects.toBe(down);
});
