import { expect, it } from "vitest";
import { LiveJobs } from "./live-jobs.ts";

/** As JSON, 102 bytes. */
const hundred = "m".repeat(100);

it("keeps the newest outputs that fit, and the job that was written last even when it does not", () => {
  const live = new LiveJobs({ bytes: 250 });
  for (const id of ["a", "b"]) live.setResult(id, { output: hundred, error: undefined });
  live.of("idle").workerId = "pod-1";
  expect(live.peek("a")?.output).toBe(hundred);
  live.setResult("c", { output: hundred, error: undefined });
  expect(live.peek("a")).toBeUndefined();
  expect(live.peek("b")?.output).toBe(hundred);
  live.setProgress("d", "m".repeat(1000));
  expect(["b", "c", "d"].map((id) => live.peek(id) !== undefined)).toEqual([false, false, true]);
  expect(live.peek("idle")?.workerId).toBe("pod-1");
});

it("gives room back with what is read, replaced or forgotten", () => {
  const live = new LiveJobs({ bytes: 250 });
  live.setResult("old", { output: hundred, error: undefined });
  for (let round = 0; round < 5; round++) {
    live.addChunk("a", hundred);
    expect(live.takeChunks("a")).toEqual([hundred]);
    live.setProgress("a", hundred);
    live.restart("a");
    live.setResult("b", { output: hundred, error: undefined });
    live.forget("b");
  }
  expect(live.peek("old")?.output).toBe(hundred);
});

it("gives up the oldest chunks that nobody reads, by their number and by their bytes", () => {
  const byNumber = new LiveJobs({ chunks: 2 });
  for (const chunk of [1, 2, 3]) byNumber.addChunk("a", chunk);
  expect(byNumber.takeChunks("a")).toEqual([2, 3]);
  const byBytes = new LiveJobs({ chunkBytes: 250 });
  for (const chunk of [1, 2, 3]) byBytes.addChunk("a", `${chunk}${hundred}`);
  expect(byBytes.takeChunks("a")).toEqual([`2${hundred}`, `3${hundred}`]);
});
