import { expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { overdueText } from "./overdue.ts";
import { readSubmission } from "./submission.ts";

it.each([
  [{}, 600_000, "executionTimeout 600000 ms, the default: set policy.executionTimeout with the request"],
  [{ executionTimeout: 5000 }, 5000, "(executionTimeout 5000 ms)"],
  [{ executionTimeout: 604_800_000 }, 0, "ttl 86400000 ms, the default: set policy.ttl with the request"],
  [{ ttl: 10_000 }, 0, "(ttl 10000 ms)"],
])("names the limit of %o that is over, and says where it is the default", (policy, ranMs, limit) => {
  const runpod = readSubmission("lakes", "run", { input: {}, policy });
  const job = jobEnvelope.parse({ id: "a", type: "runpod_job", metadata: { runpod } });
  const nowMs = ranMs === 0 ? runpod.ttlMs : 20;
  expect(overdueText({ job, queuedAtMs: 0 }, { ranMs, nowMs })).toContain(limit);
});
