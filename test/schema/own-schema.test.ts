import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asCaller, type Migration, readMigrations, service, user } from "../support/supabase/database.ts";
import type { EmptyDatabase } from "../support/supabase/postgres.ts";
import { callFunction } from "../support/supabase/rest.ts";
import { apply, type EmptyProjects, emptyProjects, readEarlierMigrations } from "./empty-projects.ts";
import { ann, bob, type Json, object } from "./support.ts";

/* The tables' own schema: beside an app's tables, and for projects whose tables lay in `public`. */

const usersRows = "insert into auth.users (id) values ($1), ($2)";

/** Those of the version in which the tables got their schema. */
const isFirstOfSchema = ({ name }: Migration) => name < "20261129";

async function rpc({ api }: EmptyDatabase, name: string, args: Json): Promise<Json> {
  const { body } = await asCaller(api, service, (query) => callFunction(query, name, args));
  return object(body);
}

async function enqueue(database: EmptyDatabase, prompt: string, user_id: string = ann): Promise<string> {
  const job = { type: "sdxl_image_fast", prompt, user_id };
  return String((await rpc(database, "enqueue_job", { job, options: { source: "supabase" } })).job_id);
}

describe.each(Object.entries(emptyProjects))("the tables' own schema on %s", (_name, start) => {
  let projects: EmptyProjects;
  let migrations: readonly Migration[] = [];

  beforeAll(async () => {
    [migrations, projects] = await Promise.all([readMigrations(), start()]);
  }, 120_000);

  afterAll(() => projects.stop());

  test("lies beside tables of an app that have the same names", async () => {
    const database = await projects.another();
    await database.query(usersRows, [ann, bob]);
    for (const table of ["jobs", "assets", "usage", "workers", "job_types", "offers"]) {
      await database.query(`create table public.${table} (id integer primary key, title text)`);
      await database.query(`insert into public.${table} values (1, 'the app''s own')`);
    }
    await database.query("create type public.job_status as enum ('open', 'closed')");
    await apply(database, migrations);
    const jobId = await enqueue(database, "a lake at noon");
    const read = await asCaller(database.api, user(ann), (query) => query("select id from public.ourvidz_jobs"));
    expect(read).toEqual([{ id: jobId }]);
    for (const table of ["jobs", "assets", "usage", "workers", "job_types", "offers"]) {
      expect(await database.query(`select * from public.${table}`)).toEqual([{ id: 1, title: "the app's own" }]);
    }
  });

  test.each([
    [
      "create function public.get_job(id integer) returns integer language sql as 'select 1'",
      "the function get_job(integer)",
    ],
    ["create table public.ourvidz_jobs (id integer)", "the table ourvidz_jobs"],
  ])("refuses a project in which a name is taken, before anything is changed: %s", async (statement, name) => {
    const database = await projects.another();
    await database.query(statement);
    await expect(apply(database, migrations)).rejects.toThrow(
      `This project has ${name} in the schema public already, which OurVidz needs: rename it and push again. Nothing was changed.`,
    );
    const [left] = await database.query(`
      select to_regnamespace('ourvidz')::text as schema, (select count(*)::int from storage.buckets) as buckets,
             (select count(*)::int from pg_catalog.pg_default_acl where defaclnamespace = 0) as privileges`);
    expect(left).toEqual({ schema: null, buckets: 0, privileges: 0 });
  });

  test.each([
    ["keep_attempt_log(log jsonb)", "the function keep_attempt_log(jsonb)"],
    ["withdraw_job(job_id uuid)", "the function withdraw_job(uuid)"],
  ])("never replaces an app's %s, which came before it was ours", async (signature, name) => {
    const database = await projects.another();
    await database.query(`create function public.${signature} returns text language sql as $$ select 'the app''s' $$`);
    await expect(apply(database, migrations)).rejects.toThrow(`This project has ${name} in the schema public already`);
    const [left] = await database.query(
      "select prosrc from pg_catalog.pg_proc where pronamespace = 'public'::regnamespace and proname = $1",
      [signature.split("(")[0]],
    );
    expect(left).toEqual({ prosrc: " select 'the app''s' " });
  });

  test("looks for names that came later in a project that has the schema already, and goes on when they are free", async () => {
    const database = await projects.another();
    const [before, after] = [migrations.filter(isFirstOfSchema), migrations.filter((each) => !isFirstOfSchema(each))];
    await apply(database, before);
    for (const [statement, name, undone] of [
      [
        "create function public.waiting_jobs() returns text language sql as $$ select 'the app''s' $$",
        "the function waiting_jobs()",
        "drop function public.waiting_jobs()",
      ],
      [
        "create view public.ourvidz_chat_sessions as select 1 as mine",
        "the table ourvidz_chat_sessions",
        "drop view public.ourvidz_chat_sessions",
      ],
    ] as const) {
      await database.query(statement);
      await expect(apply(database, after)).rejects.toThrow(`This project has ${name} in the schema public already`);
      await database.query(undone);
    }
    await apply(database, after);
    expect(await database.query("select public.waiting_jobs('sdxl')")).toEqual([{ waiting_jobs: [] }]);
  });

  describe("a project whose tables lay in public", () => {
    let database: EmptyDatabase;
    let jobId = "";

    beforeAll(async () => {
      database = await projects.another();
      await database.query(usersRows, [ann, bob]);
      await apply(database, await readEarlierMigrations());
      jobId = await enqueue(database, "a harbour");
      await enqueue(database, "a mill", bob);
      await database.query(`
        create table public.favourites (job_id uuid references public.jobs (id) on delete cascade);
        insert into public.favourites values ('${jobId}');
        create policy "bob sees everything" on public.jobs for select to authenticated using (auth.uid() = '${bob}');
        create function public.prompts() returns setof text language plpgsql as
          $$ begin return query select prompt from public.jobs order by sequence; end $$;
        grant execute on function public.prompts() to authenticated`);
      await apply(database, migrations);
    });

    const as = (caller: string, statement: string) => asCaller(database.api, user(caller), (query) => query(statement));

    test("keeps what its app reads by the old names, and every policy", async () => {
      expect(await as(ann, "select prompt from public.jobs")).toEqual([{ prompt: "a harbour" }]);
      expect(await as(bob, "select prompt from public.ourvidz_jobs order by sequence")).toHaveLength(2);
      expect(await as(bob, "select * from public.prompts()")).toEqual([
        { prompts: "a harbour" },
        { prompts: "a mill" },
      ]);
      expect(await as(ann, "select * from public.prompts()")).toEqual([{ prompts: "a harbour" }]);
      expect(await as(ann, "select type from public.job_types")).not.toEqual([]);
    });

    test.each(["workers", "queue_outbox", "job_attempts"])("keeps %s the service's own", async (table) => {
      await expect(as(ann, `select from public.${table}`)).rejects.toMatchObject({ code: "42501" });
      await expect(as(ann, `select from ourvidz.${table}`)).rejects.toMatchObject({ code: "42501" });
    });

    test("lets its app write by the old names, with the service's rights only", async () => {
      const insert =
        "insert into public.job_types (type, worker, content_type, file_extension, bucket) values ('own', 'own', 'text', 'txt', 'own')";
      await expect(as(ann, insert)).rejects.toMatchObject({ code: "42501" });
      await asCaller(database.api, service, (query) => query(insert));
      expect(await database.query("select bucket from ourvidz.job_types where type = 'own'")).toEqual([
        { bucket: "own" },
      ]);
    });

    test("keeps what refers to its tables", async () => {
      await database.query("delete from ourvidz.jobs where id = $1", [jobId]);
      expect(await database.query("select * from public.favourites")).toEqual([]);
    });
  });
});
