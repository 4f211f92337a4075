import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { emptyTables, service } from "../support/supabase/database.ts";
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
  await emptyTables(postgres.database.query, ["ourvidz.jobs", "ourvidz.usage"]);
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
    "select count(*)::int as attempts, max(attempt) as most from ourvidz.job_attempts",
  );
  expect(attempts).toEqual([{ attempts: 120, most: 1 }]);
});

test("a claim reads no more rows when ten thousand jobs that nobody here can run stand in front", async () => {
  const many = (count: number, type: string, model: string | null, priority: number) =>
    postgres.database.query(
      `insert into ourvidz.jobs (type, worker, source, bucket, element, model_variant, priority)
       select $1::text, 'sdxl', 'supabase', 'b', '{}', $2::text, $3 from generate_series(1, $4::int)`,
      [type, model, priority, count],
    );
  await many(5000, "sdxl_image_fast", "big", 9);
  await many(5000, "sdxl_image_high", null, 0);
  await many(3, "sdxl_image_fast", null, 0);
  await postgres.database.query("analyze ourvidz.jobs");
  const offer = { types: ["sdxl_image_fast"], default_model_types: ["sdxl_image_fast"], models: ["tiny", "small"] };
  for (const held_models of [[], ["tiny"]]) {
    const rows = await postgres.database.transaction(async (query) => {
      const requests = JSON.stringify([{ worker: "sdxl", slots: 3, held_models, offer }]);
      const [taken] = await query("select jsonb_array_length(public.take_jobs('w', $1) -> 'leases') as jobs", [
        requests,
      ]);
      const [read] = await query(
        `select (seq_tup_read + idx_tup_fetch)::int as rows from pg_catalog.pg_stat_xact_user_tables
          where relid = 'ourvidz.jobs'::regclass`,
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
    await query("select 1 from ourvidz.jobs where id = $1 for update", [first]);
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
    await postgres.database.query("update ourvidz.jobs set lease_expires_at = now() where id = $1", [jobId]);
    const [outcome, taken] = await Promise.all([settle(project, lease, done), claim(project)]);
    const status = await statusOf(project, jobId);
    expect([outcome, taken.length, status]).toEqual(
      outcome === "settled" ? ["settled", 0, "completed"] : ["lost", 1, "running"],
    );
    await emptyTables(postgres.database.query, ["ourvidz.jobs"]);
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
  expect(await postgres.database.query("select count(*)::int as elements from ourvidz.queue_outbox")).toEqual([
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
    await emptyTables(postgres.database.query, ["ourvidz.jobs"]);
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

/** Jobs of which `parent` is cancelled after `child` by id, though the child belongs to it. */
const parent = "ffffffff-0000-4000-8000-000000000001";
const child = "00000000-0000-4000-8000-000000000001";
const waitsForLock = "select count(*)::int as waiting from pg_catalog.pg_locks where not granted";

async function untilOneWaits(): Promise<void> {
  const waiting = async () => (await postgres.database.query(waitsForLock))[0]?.waiting;
  await expect.poll(waiting, { timeout: 10_000, interval: 20 }).toBe(1);
}

test.each([
  ["request_cancel of a job with a child", "select public.request_cancel($1)", parent],
  ["cancel_jobs of a job with a child", "select public.cancel_jobs(array[$1::uuid])", parent],
])("%s holds no job while it waits for another with a smaller id", async (_what, statement, id) => {
  await enqueue(project, { id: parent, user: ann });
  await enqueue(project, { id: child, user: ann, options: { parent_job_id: parent } });
  const waited = await postgres.database.transaction(async (query) => {
    await query("select from ourvidz.jobs where id = $1 for update", [child]);
    const waiting = postgres.database.transaction((other) => other(statement, [id]));
    await untilOneWaits();
    // What the other call would hold, this one gets: two such calls end one after the other.
    await query("set local lock_timeout = '2s'");
    expect(await query("select public.cancel_jobs(array[$1, $2]::uuid[]) as outcomes", [parent, child])).toEqual([
      { outcomes: ["cancelled", "cancelled"] },
    ]);
    return { waiting };
  });
  await waited.waiting.catch((error: unknown) => expect(error).toMatchObject({ code: "PT409" }));
  expect(await statusOf(project, child)).toBe("cancelled");
});

test("a job that fails holds nothing while it waits for a dependent with a smaller id", async () => {
  await enqueue(project, { id: parent, user: ann });
  const lease = (await claim(project))[0];
  if (lease === undefined) throw new Error("the job is due");
  await enqueue(project, { id: child, user: ann, fields: { depends_on: [parent] } });
  const { waiting } = await postgres.database.transaction(async (query) => {
    await query("select from ourvidz.jobs where id = $1 for update", [child]);
    const error = { code: "INTERNAL", message: "x" };
    const waiting = settle(project, lease, { call: "fail", error });
    await untilOneWaits();
    await query("set local lock_timeout = '2s'");
    expect(await query("select public.cancel_jobs(array[$1, $2]::uuid[]) as outcomes", [parent, child])).toEqual([
      { outcomes: ["requested", "cancelled"] },
    ]);
    return { waiting };
  });
  expect(await waiting).toBe("settled");
  expect(await statusOf(project, parent)).toBe("failed");
});

test("many calls that cancel, settle and discard the same families at the same moment: none is a deadlock's victim", async () => {
  const error = { code: "INTERNAL", message: "x" };
  for (let round = 0; round < 6; round += 1) {
    await emptyTables(postgres.database.query, ["ourvidz.jobs", "ourvidz.usage"]);
    const parents = await enqueueMany(6);
    const leases = await claim(project, 6);
    const others: string[] = [];
    for (const [place, id] of parents.entries()) {
      others.push(await enqueue(project, { user: ann, options: { parent_job_id: id } }));
      others.push(await enqueue(project, { user: ann, fields: { depends_on: [parents[(place + 1) % 6]] } }));
    }
    const all = [...parents, ...others];
    const shuffled = () => all.toSorted(() => Math.random() - 0.5).slice(0, 10);
    const calls = [
      ...Array.from({ length: 6 }, () => call(project, service, "cancel_jobs", { job_ids: shuffled() })),
      ...Array.from({ length: 4 }, () => call(project, service, "discard_jobs", { job_ids: shuffled() })),
      ...leases.map((lease) => call(project, service, "settle_job", { settlement: { ...lease, call: "fail", error } })),
    ];
    for (const { status, body } of await Promise.all(calls)) expect({ status, body }).toMatchObject({ status: 200 });
  }
});

test("calls that take and sweep end jobs whose families others cancel at that moment: none is a deadlock's victim", async () => {
  for (let round = 0; round < 5; round += 1) {
    await emptyTables(postgres.database.query, ["ourvidz.jobs", "ourvidz.usage"]);
    const overdue = { config: { expires_in_seconds: 0.001 } };
    const all: string[] = [];
    for (let family = 0; family < 6; family += 1) {
      const first = await enqueue(project, { user: ann, fields: overdue });
      all.push(first, await enqueue(project, { user: ann, fields: { ...overdue, depends_on: [first] } }));
      all.push(await enqueue(project, { user: ann, fields: { depends_on: [all.at(-1)] } }));
      all.push(await enqueue(project, { user: ann, options: { parent_job_id: first } }));
    }
    const shuffled = () => all.toSorted(() => Math.random() - 0.5).slice(0, 12);
    const requests = [{ worker: "sdxl", slots: 2 }];
    const calls = Array.from({ length: 4 }, (_, place) => [
      call(project, service, "cancel_jobs", { job_ids: shuffled() }),
      call(project, service, "take_jobs", { worker_id: `container-${place}`, requests, lease_seconds: 1 }),
      call(project, service, "sweep_expired", { keep_days: 0 }),
    ]).flat();
    for (const { status, body } of await Promise.all(calls)) expect({ status, body }).toMatchObject({ status: 200 });
  }
});

test("what goes back to the queue does not wait for those that wait for it", async () => {
  const [first = ""] = await enqueueMany(1);
  const waiting = await enqueue(project, { user: ann, fields: { depends_on: [first] } });
  const [lease] = await claim(project, 1);
  if (lease === undefined) throw new Error("a job was due");
  await postgres.database.transaction(async (query) => {
    await query("select from ourvidz.jobs where id = $1 for update", [waiting]);
    expect(await settle(project, lease, { call: "release" })).toBe("settled");
  });
  expect(await statusOf(project, first)).toBe("queued");
});

test("failures are counted exactly while jobs fail, are redriven and discarded", async () => {
  const ids = await enqueueMany(24);
  const leases = await claim(project, 24);
  const error = { code: "HANDLER_FAILED", message: "x" };
  await Promise.all(leases.map((lease) => settle(project, lease, { call: "fail", error })));
  await Promise.all([
    rpcList(project, "discard_jobs", { job_ids: ids.slice(0, 6) }).catch(() => undefined),
    call(project, service, "discard_jobs", { job_ids: ids.slice(3, 8) }),
    ...ids.slice(12, 20).map((job_id) => rpc(project, "redrive_job", { job_id })),
  ]);
  const groups = () => rpcList(project, "failure_groups", { only_source: "supabase" });
  expect(await groups()).toMatchObject([{ code: "HANDLER_FAILED", jobs: 8, permanent: 0 }]);
});

/** The function's own text, planned as for any arguments. */
async function planOf(name: string, names: readonly string[], values: string): Promise<string> {
  const [found] = await postgres.database.query("select prosrc from pg_catalog.pg_proc where proname = $1", [name]);
  const text = names.reduce(
    (body, argument, place) => body.replaceAll(new RegExp(`\\b${argument}\\b`, "g"), `$${place + 1}`),
    String(found?.prosrc),
  );
  return postgres.database.transaction(async (query) => {
    await query("set local plan_cache_mode = force_generic_plan");
    await query(`prepare planned (text, integer) as ${text}`);
    const rows = await query(`explain (analyze, costs off, timing off) execute planned (${values})`);
    await query("deallocate planned");
    return rows.map((row) => String(Object.values(row)[0])).join("\n");
  });
}

test("failures are counted by reading an index alone", async () => {
  await postgres.database.query(
    `insert into ourvidz.jobs (type, worker, source, bucket, element)
     select 'type_' || n % 10, 'sdxl', 'supabase', 'b', jsonb_build_object('prompt', repeat('a red apple ', 40))
       from generate_series(1, 5000) as n`,
  );
  await postgres.database.query(
    `update ourvidz.jobs set status = 'failed', settled_at = now(),
            error = jsonb_build_object('code', 'OUT_OF_MEMORY', 'permanent', sequence % 2 = 0)`,
  );
  await postgres.database.query("vacuum analyze ourvidz.jobs");
  const plan = await planOf("failure_groups", ["only_source", "most"], "'supabase', 200");
  expect(plan).toMatch(/Index Only Scan using jobs_failures on jobs/);
  expect(plan).not.toMatch(/Seq Scan/);
  const groups = await rpcList(project, "failure_groups", { only_source: "supabase" });
  expect(groups.map(({ code, jobs, permanent }) => ({ code, jobs, permanent }))).toEqual(
    Array(10).fill({ code: "OUT_OF_MEMORY", jobs: 500, permanent: expect.any(Number) }),
  );
  expect(groups.reduce((sum, { permanent }) => sum + Number(permanent), 0)).toBe(2500);
});
