import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { jobEnvelope } from "#contract/job.ts";
import { alarmsIn, viewOutbox } from "#functions/outbox/outbox-view.ts";
import { emulatorDelivery } from "#functions/runpod/emulator-delivery.ts";
import { readConfig } from "#runtime/container/config.ts";
import { type Embedded, openEmbedded } from "#runtime/container/embedded.ts";
import { openOutbox } from "#runtime/delivery/outbox.ts";
import { emulatedType } from "#runtime/endpoints/endpoint-job.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { printTable } from "./support/table.ts";

/*
 * Results of an emulated endpoint whose webhook is away: JOBS of them (default 40), each with a body of SIZE_MB (default 4) that its
 * container has posted. Shown are the longest time in which the process did nothing else and its memory: while they are recorded, while
 * the next process on the data folder takes them up and keeps them, and while they are listed.
 */
const jobs = Number(process.env.JOBS ?? 40);
const sizeMb = Number(process.env.SIZE_MB ?? 4);
/** Claims are renewed every 2.5 s. */
const keptMs = 8000;
const folder = await mkdtemp(join(tmpdir(), "ourvidz-bench-outbox-"));
const config = readConfig({ DATA_DIR: folder }, () => "emulator");
const log = await createLogger({ level: "silent", format: "json" });
// Nothing listens there.
const webhook = "http://127.0.0.1:9/ended";

async function finishAll(embedded: Embedded): Promise<void> {
  const { source } = embedded;
  const { delivery } = emulatorDelivery({ source, config, embedded, log });
  const output = "x".repeat(sizeMb * 1_000_000);
  for (let number = 0; number < jobs; number++) {
    const times = { executionTimeoutMs: 600_000, ttlMs: 600_000 };
    const runpod = { endpoint: "lake", input: { prompt: "a lake" }, rest: {}, webhook, idForm: "run", ...times };
    const job = { id: crypto.randomUUID(), type: emulatedType, user_id: "ann", metadata: { runpod } };
    await source.enqueue(jobEnvelope.parse(job), { worker: "lake" });
    const [lease] = (await source.take([{ worker: "lake", slots: 1 }])).leases;
    if (lease === undefined) throw new Error("the job was not handed out");
    const settlement = { kind: "complete", assets: [], metadata: {} } as const;
    await delivery.finish(source, lease, settlement, { ranMs: 5000, workFolder: "", posted: { output } });
  }
  await delivery.drain(60_000);
  await delivery.stop(0);
}

async function keepAll(embedded: Embedded): Promise<void> {
  const { delivery } = emulatorDelivery({ source: embedded.source, config, embedded, log });
  await delivery.start();
  await pause(keptMs);
  await delivery.stop(0);
}

async function list({ database }: Embedded): Promise<void> {
  const outbox = openOutbox(database, config, log);
  const { waiting } = viewOutbox(outbox, alarmsIn(outbox, Date.now()));
  if (waiting !== jobs) throw new Error(`${waiting} rows wait, not ${jobs}`);
}

const rows: string[][] = [["what", "time", "longest turn", "memory added", "highest", "database"]];
async function measure(what: string, action: (embedded: Embedded) => Promise<void>): Promise<void> {
  const embedded = await openEmbedded(config);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const before = process.memoryUsage().rss;
  let highest = before;
  const look = setInterval(() => {
    highest = Math.max(highest, process.memoryUsage().rss);
  }, 20);
  delay.enable();
  const startedMs = performance.now();
  await action(embedded);
  const tookMs = performance.now() - startedMs;
  // The last delay is noted when the loop turns again.
  await pause(30);
  delay.disable();
  clearInterval(look);
  await embedded.close();
  const { size } = await stat(join(folder, "ourvidz.db"));
  const cells = [tookMs, delay.max / 1e6].map((ms) => `${ms.toFixed(0)} ms`);
  rows.push([
    what,
    ...cells,
    ...[highest - before, highest, size].map((bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`),
  ]);
}

await measure(`${jobs} ends of ${sizeMb} MB are recorded`, finishAll);
globalThis.gc?.();
await measure(`the next process takes them up, and keeps them for ${keptMs / 1000} s`, keepAll);
globalThis.gc?.();
await measure("they are listed, with their alarms", list);
printTable(rows);
await rm(folder, { recursive: true });
process.exit();
