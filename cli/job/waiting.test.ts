import { expect, test } from "vitest";
import { waitingText } from "./list-queues.ts";
import { statusText } from "./view.ts";

const need = { type: "wan_clip", model: "tiny" };
const queued = { status: "queued", progress: null, cancel_requested: false, delivery: null } as const;

test("a job of an endpoint waits for a container that asks the endpoint: no setting of ours starts one", async () => {
  const endpoints = { type: "runpod_job", model: null, served: false, jobs: 1, oldest_seconds: 3 };
  const reason = "no container has asked the endpoint lakes for jobs: docs/26-runpod.md says how one does";
  const words = new URL("../../functions/console/browser/words.js", import.meta.url);
  const console: { unservedText(worker: string): string } = await import(words.href);
  expect(waitingText("runpod_lakes_queue", endpoints)).toBe(`1 job waits in runpod_lakes_queue: ${reason} (for 3 s).`);
  expect(console.unservedText("runpod_lakes")).toBe(reason);
  expect(console.unservedText("wan")).toBe("no container serves the worker wan: start one with WORKERS=wan");
});

test.each([
  [false, "no container serves the worker wan: start one with WORKERS=wan", "queued (no container serves its worker)"],
  [true, "no container offers it", "queued (no container offers it)"],
  // A container of the version before does not say.
  [undefined, "no container offers it", "queued (no container offers it)"],
])("a job that waits in vain says why, where its worker is served: %s", (served, reason, status) => {
  expect(waitingText("wan_queue", { ...need, served, jobs: 2, oldest_seconds: 7.4 })).toBe(
    `2 jobs wait in wan_queue for the job type wan_clip with the model tiny: ${reason} (for 7 s).`,
  );
  expect(statusText({ ...queued, waiting_for: { ...need, served } })).toBe(status);
});
