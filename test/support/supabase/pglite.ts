import { PGlite } from "@electric-sql/pglite";
import { migrate, type Query, type Row, readMigrations, readPlatform, type TestDatabase } from "./database.ts";

/** PostgreSQL inside this process, with what a Supabase project has and our migrations. One connection, no other user. */
export interface TestPglite {
  readonly database: TestDatabase;
  stop(): Promise<void>;
}

export async function startPglite({ migrated = true }: { readonly migrated?: boolean } = {}): Promise<TestPglite> {
  const pglite = await PGlite.create();
  await pglite.exec(await readPlatform());
  if (migrated) await migrate((script) => pglite.exec(script), await readMigrations());
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
