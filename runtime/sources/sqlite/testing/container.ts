import { jobEnvelope } from "#contract/job.ts";
import { databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { sourceMigrations } from "../schema.ts";
import { SqliteSource } from "../sqlite-source.ts";

/*
 * For tests: a container as a process of its own. It enqueues its jobs, then completes whatever it gets until its
 * queue is empty, and notifies its parent of each thing once it is durable.
 *
 *   node container.ts <data folder> <worker id> <number of jobs>
 */
export type ContainerReport = readonly ["enqueued" | "completed", jobId: string];

const [folder = "", workerId = "", count = "0"] = process.argv.slice(2);
const database = await openDatabase(databaseFile(folder), sourceMigrations);
const source = new SqliteSource(database, { workerId });
const never = new AbortController().signal;

function report(...what: ContainerReport): void {
  process.send?.(what);
}

for (let index = 0; index < Number(count); index += 1) {
  const id = `${workerId}-${index}`;
  await source.enqueue(jobEnvelope.parse({ id, type: "sdxl_image_fast", prompt: "a red cube" }), { worker: "sdxl" });
  report("enqueued", id);
}
for (;;) {
  const { leases } = await source.take([{ worker: "sdxl", slots: 2 }]);
  for (const lease of leases) {
    await source.renew([{ lease, progress: 0.5 }]);
    await source.complete(lease, { assets: [], metadata: { workerId } });
    report("completed", lease.jobId);
  }
  if (leases.length > 0) continue;
  if ((await source.stats()).length === 0) break;
  await source.waitForChange(1000, never, "jobs");
}
database.close();
process.disconnect();
