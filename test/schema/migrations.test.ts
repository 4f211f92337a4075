import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jobTypes, queueName } from "#contract/job-types.ts";
import { migrationsFolder, newestMigration, writeMigration } from "../../tools/supabase/generated-migration.ts";
import { jobTypesSql, jobTypesSubject } from "../../tools/supabase/job-types-sql.ts";
import { presetsSql, presetsSubject } from "../../tools/supabase/presets-sql.ts";
import { type Migration, readMigrations, type TestDatabase } from "../support/supabase/database.ts";
import { apply, type EmptyProjects, emptyProjects, readEarlierMigrations, structure } from "./empty-projects.ts";
import { ann, type Json, object } from "./support.ts";

/** The migrations before this are of the first version. */
const firstVersionEnds = "20261128";

function list(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(object) : [];
}

describe.each(Object.entries(emptyProjects))("the migrations on %s", (_name, start) => {
  let projects: EmptyProjects;
  let migrations: readonly Migration[] = [];
  let database: TestDatabase;
  let once: unknown;

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

  test("make the same from the version with tables in public, and keep its rows and an operator's changes", async () => {
    const database = await projects.another();
    await database.query("insert into auth.users (id) values ($1)", [ann]);
    await apply(database, await readEarlierMigrations());
    await database.query("select public.enqueue_job($1)", [{ type: "image_fast", prompt: "a pond", user_id: ann }]);
    await database.query("update public.job_types set bucket = 'one_for_all' where type = 'image_fast'");
    await database.query("update public.enhancement_presets set system_prompt = 'mine' where preset = 'sdxl-nature'");
    await apply(database, migrations);
    const [kept] = await database.query(`
      select (select count(*)::int from ourvidz.jobs) as jobs, (select count(*)::int from ourvidz.queue_outbox) as elements,
             (select system_prompt from ourvidz.enhancement_presets where preset = 'sdxl-nature') as preset,
             (select bucket from ourvidz.job_types where type = 'image_fast') as bucket`);
    expect(kept).toEqual({ jobs: 1, elements: 1, preset: "mine", bucket: "one_for_all" });
    await database.query("update ourvidz.job_types set bucket = 'image_fast' where type = 'image_fast'");
    await database.query("delete from storage.buckets where id = 'one_for_all'");
    await database.query("delete from ourvidz.enhancement_presets where preset = 'sdxl-nature'");
    await apply(database, migrations);
    expect(await database.query(structure)).toEqual(once);
  });

  test("bring a project of the first version here, with jobs in every state and leases that are held", async () => {
    const database = await projects.another();
    await database.query("insert into auth.users (id) values ($1)", [ann]);
    const isFirst = ({ name }: Migration) => name < firstVersionEnds;
    await apply(database, (await readEarlierMigrations()).filter(isFirst));
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
      "select count(*)::int as jobs, min(run) as run, count(expires_at) filter (where source = 'supabase')::int as limited from ourvidz.jobs",
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
    expect(await database.query("select to_regclass('ourvidz.jobs')::text as jobs")).toEqual([{ jobs: null }]);
    await apply(database, migrations);
    expect(await database.query(structure)).toEqual(once);
  });

  test("fill the table of job types with the contract's", async () => {
    const rows = await database.query(
      "select type, worker, queue, content_type, file_extension, expected_seconds from ourvidz.job_types order by type",
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

describe("the generated migrations", () => {
  const newest = async (subject: string) => readFile(join(migrationsFolder, newestMigration(subject) ?? ""), "utf8");

  test("the newest with job types is the one that the contract makes", async () => {
    expect(await newest(jobTypesSubject)).toBe(jobTypesSql());
  });

  test("the newest with presets is the one that the shipped files make", async () => {
    expect(await newest(presetsSubject)).toBe(presetsSql());
  });

  test("what is new gets a file of its own, after all others: one that was applied is not written again", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ourvidz-migrations-"));
    const write = (text: string, at: string) => writeMigration("job_types", text, new Date(at), folder);
    expect(await write("first", "2026-11-30T10:20:30.456Z")).toBe("20261130102030_job_types.sql");
    expect(await write("first", "2026-12-01T00:00:00Z")).toBeUndefined();
    await writeFile(join(folder, "20261201000100_other.sql"), "another");
    expect(await write("second", "2026-12-01T00:00:00Z")).toBe("20261201000101_job_types.sql");
    expect(await write("first", "2026-12-01T00:00:00Z")).toBe("20261201000102_job_types.sql");
    expect(await readFile(join(folder, "20261130102030_job_types.sql"), "utf8")).toBe("first");
    await rm(folder, { recursive: true });
  });
});
