import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { type Migration, migrate, type TestDatabase } from "../support/supabase/database.ts";
import { startEmptyPglite } from "../support/supabase/pglite.ts";
import { type EmptyDatabase, startPostgres } from "../support/supabase/postgres.ts";

/** Projects before their first migration, as many as asked for. */
export interface EmptyProjects {
  another(): Promise<EmptyDatabase>;
  stop(): Promise<void>;
}

export const emptyProjects: Readonly<Record<string, () => Promise<EmptyProjects>>> = {
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
        return { ...database, api: database };
      },
      async stop() {
        for (const stop of started) await stop();
      },
    };
  },
};

/** Everything that the migrations make, as the catalogue describes it. */
export const structure = `
  select kind, name, what from (
    select 'column' as kind, table_schema || '.' || table_name || '.' || column_name as name,
           concat_ws(' ', data_type, is_nullable, column_default, generation_expression, identity_generation) as what
      from information_schema.columns where table_schema = 'ourvidz' or table_name ~ '^ourvidz_'
    union all
    select 'constraint', conrelid::regclass::text || '.' || conname, pg_get_constraintdef(oid)
      from pg_catalog.pg_constraint where connamespace in ('public'::regnamespace, 'ourvidz'::regnamespace)
    union all
    select 'index', indexname, indexdef from pg_catalog.pg_indexes where schemaname in ('public', 'ourvidz')
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
      from pg_catalog.pg_class
     where relnamespace = 'ourvidz'::regnamespace and relkind = 'r' or relname ~ '^ourvidz_' and relkind = 'v'
    union all
    select 'view', viewname, definition from pg_catalog.pg_views where schemaname = 'public' and viewname ~ '^ourvidz_'
    union all
    select 'type', typname, typnamespace::regnamespace::text from pg_catalog.pg_type where typname = 'job_status'
    union all
    select 'published', schemaname || '.' || tablename, pubname from pg_catalog.pg_publication_tables
    union all
    select 'job type', type, concat_ws(' ', worker, content_type, file_extension, expected_seconds, bucket) from ourvidz.job_types
    union all
    select 'bucket', id, concat_ws(' ', public, file_size_limit, allowed_mime_types::text) from storage.buckets
    union all
    select 'preset', preset, system_prompt from ourvidz.enhancement_presets
  ) as made order by kind, name`;

/** The migrations with which the tables lay in `public`, as they were applied then. */
export async function readEarlierMigrations(): Promise<Migration[]> {
  const folder = fileURLToPath(new URL("earlier/", import.meta.url));
  const names = (await readdir(folder)).toSorted();
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(folder + name, "utf8") })));
}

export function apply(target: TestDatabase, migrations: readonly Migration[]): Promise<void> {
  return migrate((script) => target.query(script), migrations);
}
