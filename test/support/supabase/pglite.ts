import { PGlite } from "@electric-sql/pglite";
import { migrate, type Query, type Row, readMigrations, readPlatform, type TestDatabase } from "./database.ts";

/** PostgreSQL inside this process, with what a Supabase project has and our migrations. One connection, no other user. */
export interface TestPglite {
  readonly database: TestDatabase;
  stop(): Promise<void>;
}

export async function startPglite(): Promise<TestPglite> {
  const { pglite, project } = await startEmpty();
  await migrate((script) => pglite.exec(script), await readMigrations());
  return project;
}

/** Without our tables, for tests of the migrations themselves; `another` is a copy of it, quicker than a new one. */
export async function startEmptyPglite(): Promise<TestPglite & { another(): Promise<TestPglite> }> {
  const { pglite, project } = await startEmpty();
  const untouched = await pglite.dumpDataDir("none");
  return {
    ...project,
    another: async () => projectOf(await PGlite.create({ loadDataDir: untouched })),
  };
}

async function startEmpty(): Promise<{ readonly pglite: PGlite; readonly project: TestPglite }> {
  const pglite = await PGlite.create();
  await pglite.exec(await readPlatform());
  return { pglite, project: projectOf(pglite) };
}

function projectOf(pglite: PGlite): TestPglite {
  const query = async (text: string, values?: readonly unknown[]): Promise<Row[]> => {
    if (values === undefined) return (await pglite.exec(text)).at(-1)?.rows ?? [];
    return (await pglite.query<Row>(text, [...values])).rows;
  };
  return {
    database: {
      query,
      transaction: (body) =>
        pglite.transaction(async (transaction) => {
          const inside: Query = async (text, values) =>
            (await transaction.query<Row>(text, values === undefined ? undefined : [...values])).rows;
          return body(inside);
        }),
    },
    stop: () => pglite.close(),
  };
}
