import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jobTypes, queueName } from "#contract/job-types.ts";
import { jobTypesMigration, jobTypesSql } from "../../tools/supabase/job-types-sql.ts";
import { presetsMigration, presetsSql } from "../../tools/supabase/presets-sql.ts";
import { type Migration, migrate, readMigrations, type TestDatabase } from "../support/supabase/database.ts";
import { startEmptyPglite } from "../support/supabase/pglite.ts";
import { startPostgres } from "../support/supabase/postgres.ts";
import { ann, type Json, object } from "./support.ts";

/** The migrations before this are of the first version. */
const firstVersionEnds = "20261128";

function list(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(object) : [];
}

/** Projects before their first migration, as many as asked for. */
interface EmptyProjects {
  another(): Promise<TestDatabase>;
  stop(): Promise<void>;
}

const databases: Readonly<Record<string, () => Promise<EmptyProjects>>> = {
  async PostgreSQL() {
    const { emptyDatabase, stop } = await startPostgres();
    return { another: emptyDatabase, stop };
  },
  async PGlite() {
    const first = await startEmptyPglite();
    const started = [first.stop];
    return {
      async another() {
        const { database, stop } = await first.another();
        started.push(stop);
        return database;
      },
      async stop() {
        for (const stop of started) await stop();
      },
    };
  },
};

/** Everything that the migrations make, as the catalogue describes it. */
const structure = `
  select kind, name, what from (
    select 'column' as kind, table_schema || '.' || table_name || '.' || column_name as name,
           concat_ws(' ', data_type, is_nullable, column_default, generation_expression, identity_generation) as what
      from information_schema.columns where table_schema in ('public', 'ourvidz')
    union all
    select 'constraint', conrelid::regclass::text || '.' || conname, pg_get_constraintdef(oid)
      from pg_catalog.pg_constraint where connamespace in ('public'::regnamespace, 'ourvidz'::regnamespace)
    union all
    select 'index', indexname, indexdef from pg_catalog.pg_indexes where schemaname = 'public'
    union all
    select 'function', oid::regprocedure::text, concat_ws(' ', prosrc, array(select unnest(proacl)::text order by 1)::text, prosecdef, proconfig::text)
      from pg_catalog.pg_proc where pronamespace in ('public'::regnamespace, 'ourvidz'::regnamespace)
    union all
    select 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) from pg_catalog.pg_trigger where not tgisinternal
    union all
    select 'policy', schemaname || '.' || tablename || '.' || policyname, concat_ws(' ', roles::text, cmd, qual, with_check)
      from pg_catalog.pg_policies
    union all
    select 'grant', relname, concat_ws(' ', array(select unnest(relacl)::text order by 1)::text, relrowsecurity)
      from pg_catalog.pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    union all
    select 'job type', type, concat_ws(' ', worker, content_type, file_extension, expected_seconds, bucket) from public.job_types
    union all
    select 'bucket', id, concat_ws(' ', public, file_size_limit, allowed_mime_types::text) from storage.buckets
    union all
    select 'preset', preset, system_prompt from public.enhancement_presets
  ) as made order by kind, name`;

describe.each(Object.entries(databases))("the migrations on %s", (_name, start) => {
  let projects: EmptyProjects;
  let migrations: readonly Migration[] = [];
  let database: TestDatabase;
  let once: unknown;

  const apply = (target: TestDatabase, some: readonly Migration[]) => migrate((script) => target.query(script), some);

  beforeAll(async () => {
    migrations = await readMigrations();
    projects = await start();
    database = await projects.another();
    await apply(database, migrations);
    once = await database.query(structure);
  }, 120_000);

  afterAll(() => projects.stop());

  test("make the same from empty, each said twice", async () => {
    const database = await projects.another();
    await apply(
      database,
      migrations.flatMap((migration) => [migration, migration]),
    );
    expect(await database.query(structure)).toEqual(once);
  });

  test("make the same from the version before, and keep its rows and an operator's changes", async () => {
    const database = await projects.another();
    await database.query("insert into auth.users (id) values ($1)", [ann]);
    await apply(database, migrations.slice(0, -1));
    await database.query("select public.enqueue_job($1)", [{ type: "image_fast", prompt: "a pond", user_id: ann }]);
    await database.query("update public.job_types set bucket = 'one_for_all' where type = 'image_fast'");
    await apply(database, migrations.slice(-1));
    await database.query("update public.enhancement_presets set system_prompt = 'mine' where preset = 'sdxl-nature'");
    await apply(database, migrations);
    const [kept] = await database.query(`
      select (select count(*)::int from public.jobs) as jobs, (select count(*)::int from public.queue_outbox) as elements,
             (select system_prompt from public.enhancement_presets where preset = 'sdxl-nature') as preset,
             (select bucket from public.job_types where type = 'image_fast') as bucket`);
    expect(kept).toEqual({ jobs: 1, elements: 1, preset: "mine", bucket: "one_for_all" });
    await database.query("update public.job_types set bucket = 'image_fast' where type = 'image_fast'");
    await database.query("delete from storage.buckets where id = 'one_for_all'");
    await database.query("delete from public.enhancement_presets where preset = 'sdxl-nature'");
    await apply(database, migrations);
    expect(await database.query(structure)).toEqual(once);
  });

  test("bring a project of the first version here, with jobs in every state and leases that are held", async () => {
    const database = await projects.another();
    await database.query("insert into auth.users (id) values ($1)", [ann]);
    const isFirst = ({ name }: Migration) => name < firstVersionEnds;
    await apply(database, migrations.filter(isFirst));
    const call = async (text: string, ...values: unknown[]) => {
      const [row] = await database.query(
        `select ${text} as answer`,
        values.map((value) => JSON.stringify(value)),
      );
      return row?.answer;
    };
    const make = async (prompt: string, options: object = { source: "supabase" }) => {
      const job = { type: "sdxl_image_fast", prompt, user_id: ann, config: { expires_in_seconds: 3600 } };
      return object(await call("public.enqueue_job($1, $2)", job, options)).job_id;
    };
    const claimed = async () => {
      const [lease] = list(await call("public.claim_jobs('old', $1)", [{ worker: "sdxl", slots: 1 }]));
      return { job_id: lease?.job_id, token: lease?.token };
    };
    const error = { code: "OUT_OF_MEMORY", message: "the GPU is full" };
    const settle = (settlement: object) => call("public.settle_job($1)", settlement);
    await make("over Redis", { source: "upstash" });
    const failed = await make("failed");
    await settle({ ...(await claimed()), call: "fail", error });
    await make("completed");
    await settle({ ...(await claimed()), call: "complete", result: { assets: [], metadata: {} } });
    const retried = await make("to be tried again");
    await settle({ ...(await claimed()), call: "retry", error, delay_seconds: 0 });
    const waiting = await make("waiting");
    const held = await claimed();

    await apply(
      database,
      migrations.filter((migration) => !isFirst(migration)),
    );
    expect(await database.query(structure)).toEqual(once);
    const left = await database.query(
      "select count(*)::int as jobs, min(run) as run, count(expires_at) filter (where source = 'supabase')::int as limited from public.jobs",
    );
    expect(left).toEqual([{ jobs: 5, run: 1, limited: 2 }]);
    expect(held.job_id).toBe(retried);
    expect(await settle({ ...held, call: "retry", error, delay_seconds: 60 })).toMatchObject({ outcome: "settled" });
    expect(await call(`public.request_cancel('${retried}')`)).toMatchObject({ outcome: "cancelled", attempt: 2 });
    await call(`public.redrive_job('${failed}')`);
    const { leases, ends } = object(await call("public.take_jobs('new', $1)", [{ worker: "sdxl", slots: 9 }]));
    expect(leases).toMatchObject([
      { job_id: failed, run: 2, attempt: 1 },
      { job_id: waiting, run: 1, attempt: 1 },
    ]);
    expect(ends).toMatchObject([{ job_id: retried, run: 1, attempt: 2, status: "cancelled" }]);
  });

  test("stop at a fault without leaving half of a file behind", async () => {
    const database = await projects.another();
    const [first, second] = migrations;
    if (first === undefined || second === undefined) throw new Error("there are migrations");
    const broken = { name: "broken.sql", text: `${first.text}\nselect 1 / 0;` };
    await expect(apply(database, [broken])).rejects.toThrow("broken.sql failed: division by zero");
    expect(await database.query("select to_regclass('public.jobs')::text as jobs")).toEqual([{ jobs: null }]);
    await apply(database, migrations);
    expect(await database.query(structure)).toEqual(once);
  });

  test("fill the table of job types with the contract's", async () => {
    const rows = await database.query(
      "select type, worker, queue, content_type, file_extension, expected_seconds from public.job_types order by type",
    );
    const expected = Object.entries(jobTypes).map(
      ([type, { worker, contentType, fileExtension, expectedSeconds }]) => ({
        type,
        worker,
        queue: queueName(worker),
        content_type: contentType,
        file_extension: fileExtension,
        expected_seconds: expectedSeconds,
      }),
    );
    expect(rows).toEqual(expected.toSorted((one, other) => (one.type < other.type ? -1 : 1)));
  });
});

test("the migration with the job types is the one that the contract makes", async () => {
  expect(await readFile(jobTypesMigration, "utf8")).toBe(jobTypesSql());
});

test("the migration with the presets is the one that the shipped files make", async () => {
  expect(await readFile(presetsMigration, "utf8")).toBe(presetsSql());
});
