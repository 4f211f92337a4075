import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import { startPostgres, type TestPostgres } from "../support/supabase/postgres.ts";
import { ann, call, claim, enqueue, type Json, type Project, rpc, rpcList, settle, statusOf } from "./support.ts";

/* Many containers at a time on a real PostgreSQL: what one connection cannot show. */

const done = { call: "complete", result: { assets: [], metadata: {} } };
let postgres: TestPostgres;
let project: Project;

beforeAll(async () => {
  postgres = await startPostgres();
  project = { owner: postgres.database, api: postgres.api };
  await postgres.database.query("insert into auth.users (id) values ($1)", [ann]);
});

afterAll(() => postgres.stop());

beforeEach(async () => {
  await postgres.database.query("truncate public.jobs, public.usage cascade");
});

async function enqueueMany(count: number, fields: (place: number) => Json = () => ({})): Promise<string[]> {
  const ids: string[] = [];
  for (let place = 0; place < count; place += 1) ids.push(await enqueue(project, { user: ann, fields: fields(place) }));
  return ids;
}

test("many claimers share a queue: each job once, none forgotten", async () => {
  const ids = await enqueueMany(120, (place) => ({ model_variant: place % 2 === 0 ? "even" : "odd" }));
  const claimers = Array.from({ length: 12 }, async (_, place) => {
    const taken: string[] = [];
    for (;;) {
      const held_models = place % 3 === 0 ? ["even"] : [];
      const leases = await rpcList(project, "claim_jobs", {
        worker_id: `container-${place}`,
        requests: [{ worker: "sdxl", slots: 1 + (place % 3), held_models }],
      });
      if (leases.length === 0) return taken;
      for (const { job_id, token } of leases) {
        taken.push(String(job_id));
        await settle(project, { job_id: String(job_id), token: String(token), attempt: 1 }, done);
      }
    }
  });
  const taken = (await Promise.all(claimers)).flat();
  expect(taken.toSorted()).toEqual(ids.toSorted());
  const attempts = await postgres.database.query(
    "select count(*)::int as attempts, max(attempt) as most from public.job_attempts",
  );
  expect(attempts).toEqual([{ attempts: 120, most: 1 }]);
});

test("a claim reads no more rows when ten thousand jobs that nobody here can run stand in front", async () => {
  const many = (count: number, type: string, model: string | null, priority: number) =>
    postgres.database.query(
      `insert into public.jobs (type, worker, source, bucket, element, model_variant, priority)
       select $1::text, 'sdxl', 'supabase', 'b', '{}', $2::text, $3 from generate_series(1, $4::int)`,
      [type, model, priority, count],
    );
  await many(5000, "sdxl_image_fast", "big", 9);
  await many(5000, "sdxl_image_high", null, 0);
  await many(3, "sdxl_image_fast", null, 0);
  await postgres.database.query("analyze public.jobs");
  const offer = { types: ["sdxl_image_fast"], default_model_types: ["sdxl_image_fast"], models: ["tiny", "small"] };
  for (const held_models of [[], ["tiny"]]) {
    const rows = await postgres.database.transaction(async (query) => {
      const requests = JSON.stringify([{ worker: "sdxl", slots: 3, held_models, offer }]);
      const [taken] = await query("select jsonb_array_length(public.take_jobs('w', $1) -> 'leases') as jobs", [
        requests,
      ]);
      const [read] = await query(
        `select (seq_tup_read + idx_tup_fetch)::int as rows from pg_catalog.pg_stat_xact_user_tables
          where relid = 'public.jobs'::regclass`,
      );
      expect(taken).toEqual({ jobs: 3 });
      await query("rollback");
      await query("begin");
      return Number(read?.rows);
    });
    expect(rows).toBeLessThan(300);
  }
});

test("a claim does not wait for a job that somebody is busy with, and takes the next", async () => {
  const [first, second] = await enqueueMany(2);
  await postgres.database.transaction(async (query) => {
    await query("select 1 from public.jobs where id = $1 for update", [first]);
    expect((await claim(project, 2)).map((lease) => lease.job_id)).toEqual([second]);
    const requests = [{ worker: "sdxl", slots: 2, held_models: ["tiny-sdxl"] }];
    expect(await rpcList(project, "claim_jobs", { worker_id: "w", requests })).toEqual([]);
  });
  expect((await claim(project, 2)).map((lease) => lease.job_id)).toEqual([first]);
});

test("of a settling and an expiry at the same moment, one wins and the other sees it", async () => {
  for (let round = 0; round < 10; round += 1) {
    const [jobId = ""] = await enqueueMany(1);
    const [lease] = await claim(project);
    if (lease === undefined) throw new Error("a job was due");
    await postgres.database.query("update public.jobs set lease_expires_at = now() where id = $1", [jobId]);
    const [outcome, taken] = await Promise.all([settle(project, lease, done), claim(project)]);
    const status = await statusOf(project, jobId);
    expect([outcome, taken.length, status]).toEqual(
      outcome === "settled" ? ["settled", 0, "completed"] : ["lost", 1, "running"],
    );
    await postgres.database.query("truncate public.jobs cascade");
  }
});

test("the same job enqueued by many at a time is one job, by id and by key", async () => {
  const id = crypto.randomUUID();
  const job = { type: "sdxl_image_fast", prompt: "a red cube", user_id: ann };
  const answers = await Promise.all(
    Array.from({ length: 16 }, (_, place) =>
      rpc(project, "enqueue_job", {
        job: place % 2 === 0 ? { ...job, id } : job,
        options: place % 2 === 0 ? {} : { idempotency_key: "order-1" },
      }),
    ),
  );
  const made = answers.filter((answer) => answer.created === true);
  expect(made).toHaveLength(2);
  expect(new Set(answers.map((answer) => answer.job_id)).size).toBe(2);
  expect(await postgres.database.query("select count(*)::int as elements from public.queue_outbox")).toEqual([
    { elements: 2 },
  ]);
});

test("the limit of waiting jobs holds against many calls at a time", async () => {
  const calls = Array.from({ length: 12 }, () =>
    call(project, service, "enqueue_job", { job: { type: "chat", user_id: ann }, options: { max_waiting: 3 } }),
  );
  const statuses = (await Promise.all(calls)).map((answer) => answer.status).toSorted();
  expect(statuses).toEqual([200, 200, 200, ...Array.from({ length: 9 }, () => 429)]);
});

test("elements of the outbox are given to one sweeper each", async () => {
  for (let place = 0; place < 30; place += 1) await enqueue(project, { options: { source: "upstash" } });
  const sweeps = Array.from({ length: 8 }, () =>
    rpcList(project, "queue_outbox_due", { max_rows: 7, older_than_seconds: 0 }),
  );
  const ids = (await Promise.all(sweeps)).flat().map((row) => row.job_id);
  expect(new Set(ids).size).toBe(ids.length);
  const rest = await rpcList(project, "queue_outbox_due", { max_rows: 100, older_than_seconds: 0 });
  expect(ids.length + rest.length).toBe(30);
});

test("a job whose dependency ends while it is enqueued does not wait for ever", async () => {
  for (let round = 0; round < 10; round += 1) {
    const [first = ""] = await enqueueMany(1);
    const [lease] = await claim(project);
    if (lease === undefined) throw new Error("a job was due");
    const [second] = await Promise.all([
      enqueue(project, { user: ann, fields: { depends_on: [first] } }),
      settle(project, lease, done),
    ]);
    expect((await claim(project)).map((each) => each.job_id)).toEqual([second]);
    await postgres.database.query("truncate public.jobs cascade");
  }
});

test("of two callbacks that end a job at the same moment, one is applied", async () => {
  for (let round = 0; round < 10; round += 1) {
    const jobId = await enqueue(project, { user: ann, options: { source: "upstash" } });
    const report = (status: string) =>
      rpc(project, "apply_job_callback", { callback: { job_id: jobId, status, attempt: 1, metadata: {} } });
    const answers = await Promise.all(["failed", "cancelled", "failed", "processing"].map(report));
    expect(answers.slice(0, 3).filter((answer) => answer.applied === true)).toHaveLength(1);
  }
});
