import { setTimeout as pause } from "node:timers/promises";
import { createUpstashSource } from "../upstash-source.ts";

/*
 * For tests: a container as a process of its own. It takes what it gets, works on it for a moment, and reports to its parent
 * each job that it has settled. It ends when nothing has come for a while.
 *
 *   node container.ts <url> <token> <worker id> <lease seconds>
 */
export type ContainerReport = readonly ["taken" | "completed" | "lost", jobId: string, attempt: number];

const [url = "", token = "", workerId = "", leaseSeconds = "1"] = process.argv.slice(2);
const source = createUpstashSource({
  url,
  token,
  workerId,
  leaseSeconds: Number(leaseSeconds),
  idlePoll: { timetableMs: 200, endsMs: 200 },
});
const never = new AbortController().signal;

function report(...what: ContainerReport): void {
  process.send?.(what);
}

for (let idle = 0; idle < 3; idle += 1) {
  const { leases } = await source.take([{ worker: "sdxl", slots: 2 }]);
  for (const lease of leases) {
    report("taken", lease.jobId, lease.attempt);
    await pause(Math.random() * 10);
    const outcome = await source.complete(lease, { assets: [], metadata: { workerId } });
    report(outcome === "completed" ? "completed" : "lost", lease.jobId, lease.attempt);
  }
  if (leases.length > 0) idle = -1;
  else await source.waitForChange(1_000, never, "jobs");
}
await source.close();
process.disconnect();
