import { afterAll, beforeAll, expect, test } from "vitest";
import type { Database } from "#runtime/lib/database/database.ts";
import { openHarness, type SqliteHarness } from "./testing/sqlite-harness.ts";

/* How long a take takes that skips one user's jobs, and what it finds, however many of them stand in front. */
const type = "sdxl_image_fast";
const offer = { types: [type], defaultModelTypes: [type], models: [] };
const skip = [{ userId: "mallory", type }];
let harness: SqliteHarness;

beforeAll(async () => {
  harness = await openHarness({ durable: false });
  const { database } = await harness.second();
  insert(database, { jobs: 50_000, user: "'mallory'", priority: 5 });
  insert(database, { jobs: 200, user: "'user-' || n", priority: 0 });
}, 120_000);
afterAll(() => harness.close());

function insert(database: Database, { jobs, user, priority }: { jobs: number; user: string; priority: number }): void {
  database
    .command(`
      WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${jobs})
      INSERT INTO jobs (id, worker, type, user_id, priority, due, created_at_ms, available_at_ms, body)
      SELECT ${user} || '/' || n, 'sdxl', '${type}', ${user}, ${priority}, 1, 1, 1,
             json_object('id', ${user} || '/' || n, 'type', '${type}', 'user_id', ${user}, 'priority', ${priority},
                         'config', json('{}'), 'metadata', json('{}'))
        FROM numbers`)
    .run();
}

test("finds the oldest of 200 users behind 50,000 jobs within 50 ms of the loop", async () => {
  const times: number[] = [];
  for (let place = 1; place <= 20; place++) {
    const before = process.cpuUsage();
    const { leases } = await harness.source.take([{ worker: "sdxl", slots: 1, offer, skip }]);
    // Of the processor: others want it too.
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1000);
    expect(leases.map(({ jobId }) => jobId)).toEqual([`user-${place}/${place}`]);
  }
  const median = times.toSorted((a, b) => a - b)[10];
  expect(median).toBeLessThan(50);
});

test("takes nothing while all that waits is skipped", async () => {
  const others = Array.from({ length: 200 }, (_, index) => ({ userId: `user-${index + 1}`, type })).slice(20);
  const { leases } = await harness.source.take([{ worker: "sdxl", slots: 1, offer, skip }]);
  expect(leases).toHaveLength(1);
  const few = { worker: "sdxl", slots: 1, offer: { ...offer, types: ["another"] }, skip: [...skip, ...others] };
  expect((await harness.source.take([few])).leases).toEqual([]);
});
