import { expect, test } from "vitest";
import { waitingText } from "./list-queues.ts";
import { statusText } from "./view.ts";

const need = { type: "wan_clip", model: "tiny" };
const queued = { status: "queued", progress: null, cancel_requested: false, delivery: null } as const;

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
