import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { classify } from "#runtime/sources/supabase/rest-errors.ts";
import { asCaller, readMigrations, service } from "../support/supabase/database.ts";
import { type EmptyDatabase, startPostgres } from "../support/supabase/postgres.ts";
import { answerTo, callFunction } from "../support/supabase/rest.ts";
import { apply, readEarlierMigrations } from "./empty-projects.ts";
import { ann, type Json, object } from "./support.ts";

/* An upgrade from tables in `public` while an app enqueues and containers take and settle. */

const enqueuedBefore = 40;
const enqueuedMeanwhile = 40;

/** As a container calls: again when the answer is one that passes, also when the tables moved under way. */
async function call({ api }: EmptyDatabase, name: string, args: Json): Promise<Json> {
  for (;;) {
    try {
      return object((await asCaller(api, service, (query) => callFunction(query, name, args))).body);
    } catch (error) {
      const { status, body } = answerTo(error, true);
      if (!classify(name, { status, ...object(body) }).passing) throw error;
      // A pool that has ended refuses at once: without this, nothing else would ever run.
      await turn();
    }
  }
}

test("no job is lost and none runs twice while the tables move", async () => {
  const postgres = await startPostgres();
  try {
    const project = await postgres.emptyDatabase();
    await project.query("insert into auth.users (id) values ($1)", [ann]);
    await apply(project, await readEarlierMigrations());
    let made = 0;
    const enqueue = async () => {
      const job = { id: crypto.randomUUID(), type: "sdxl_image_fast", prompt: `a hill ${++made}`, user_id: ann };
      await call(project, "enqueue_job", { job, options: { source: "supabase" } });
    };
    for (let n = 0; n < enqueuedBefore; n += 1) await enqueue();

    const moved = Promise.withResolvers<void>();
    let isMoved = false;
    const settled: string[] = [];
    const work = async (worker_id: string) => {
      for (;;) {
        const requests = [{ worker: "sdxl", slots: 2 }];
        const { leases } = await call(project, "take_jobs", { worker_id, requests, ticket: crypto.randomUUID() });
        const taken = Array.isArray(leases) ? leases.map(object) : [];
        if (taken.length === 0 && isMoved) return;
        for (const { job_id, token } of taken) {
          const settlement = { job_id, token, call: "complete", result: { assets: [], metadata: {} } };
          const { outcome } = await call(project, "settle_job", { settlement });
          if (outcome === "settled") settled.push(String(job_id));
        }
      }
    };
    const produce = async () => {
      for (let n = 0; n < enqueuedMeanwhile; n += 1) await enqueue();
      await moved.promise;
      await enqueue();
    };
    const busy = [work("one"), work("two"), work("three"), produce()];
    await apply(project, await readMigrations());
    isMoved = true;
    moved.resolve();
    await Promise.all(busy);
    await work("last");

    expect(settled.toSorted()).toEqual([...new Set(settled)].toSorted());
    expect(settled).toHaveLength(made);
    const [left] = await project.query(`
      select count(*)::int as jobs, count(*) filter (where status = 'completed')::int as completed,
             (select count(*)::int from ourvidz.usage) as used from ourvidz.jobs`);
    expect(left).toEqual({ jobs: made, completed: made, used: made });
  } finally {
    await postgres.stop();
  }
}, 120_000);
