import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import type { Lease, RenewalOutcome } from "#runtime/sources/job-source.ts";
import { sourceMigrations } from "#runtime/sources/sqlite/schema.ts";
import { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import { LeaseKeeper } from "./lease-keeper.ts";

const worker = "test";

/** Forgets its jobs when it is meant to. */
class ForgetfulSource extends SqliteSource {
  hasForgotten = false;

  override async renew(...[renewals]: Parameters<SqliteSource["renew"]>): Promise<RenewalOutcome[]> {
    if (this.hasForgotten) return renewals.map(() => "unknown");
    return await super.renew(renewals);
  }
}

/** A source with leases of a second, and what the keeper of these writes into the log. */
async function setUp() {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-keeper-"));
  const database = await openDatabase(databaseFile(folder), sourceMigrations);
  const source = new ForgetfulSource(database, { workerId: "own", leaseSeconds: 1 });
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  const keeper = new LeaseKeeper(source, log, createMetrics(new MetricsRegistry({ jobTypes: [], log })));
  onTestFinished(async () => {
    keeper.close();
    await source.close();
    database.close();
    rmSync(folder, { recursive: true });
  });
  const take = async (id: string): Promise<Lease> => {
    await source.enqueue(jobEnvelope.parse({ id, type: "noop" }), { worker });
    const [lease] = (await source.take([{ worker, slots: 1 }])).leases;
    if (lease === undefined) throw new Error("no job was due");
    return lease;
  };
  return { source, keeper, lines, take };
}

function holder() {
  const lost = Promise.withResolvers<void>();
  return { lost: lost.promise, progress: () => null, onCancel: () => undefined, onLost: () => lost.resolve() };
}

it("warns of a lease that is gone, and not of one whose job is through a moment later", async () => {
  const { source, keeper, lines, take } = await setUp();
  const [through, gone] = [await take("through"), await take("gone")];
  const [holderOfThrough, holderOfGone] = [holder(), holder()];
  const release = keeper.hold(through, holderOfThrough);
  keeper.hold(gone, holderOfGone);
  // To the keeper both look the same: their tokens are good no more.
  for (const lease of [through, gone]) await source.complete(lease, { assets: [], metadata: {} });
  await Promise.all([holderOfThrough.lost, holderOfGone.lost]);
  release();
  await expect.poll(() => lines.join("")).toContain('"job_id":"gone"');
  expect(lines.join("")).toContain("the lease is gone");
  expect(lines.join("")).not.toContain('"job_id":"through"');
});

it("takes a lease for confirmed while its source knows the job, and not when it has forgotten it", async () => {
  const { source, keeper, lines, take } = await setUp();
  const lease = await take("job");
  keeper.hold(lease, holder());
  await expect.poll(() => keeper.isFresh(lease)).toBe(true);
  source.hasForgotten = true;
  await expect.poll(() => lines.join("")).toContain("the source has forgotten the job");
  expect(keeper.isFresh(lease)).toBe(false);
});
