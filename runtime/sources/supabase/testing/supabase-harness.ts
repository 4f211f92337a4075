import { afterAll, beforeAll } from "vitest";
import { worker } from "#test/conformance/sources/harness.ts";
import type { Harness, Side } from "#test/conformance/sources/index.ts";
import { emptyTables } from "#test/support/supabase/database.ts";
import { type DoorFault, type SupabaseDoor, startSupabaseDoor } from "#test/support/supabase/door.ts";
import { startPostgres, type TestPostgres } from "#test/support/supabase/postgres.ts";
import type { SupabaseSourceOptions } from "../options.ts";
import { createSupabaseSource, type SupabaseSource } from "../supabase-source.ts";
import { Names, namedQueue, namedSource } from "./named-side.ts";

/* For tests: the source against a real PostgreSQL behind the door. */

const leaseSeconds = 30;

/** In place of the functions' own clock: the same, plus what the test has let go by. */
const movableClock = `
  create table ourvidz.test_clock (passed interval not null);
  insert into ourvidz.test_clock values ('0');
  grant select on ourvidz.test_clock to public;
  create or replace function ourvidz.clock()
  returns timestamptz language sql volatile set search_path = '' as $$
    select date_trunc('milliseconds', clock_timestamp() + passed) from ourvidz.test_clock
  $$;`;

/** What `enqueue_job` writes of a job of a container's own. */
const fillStatement = `
  insert into ourvidz.jobs (id, user_id, type, worker, source, bucket, prompt, model_variant, priority, element)
  select (job ->> 'id')::uuid, nullif(job ->> 'user_id', 'anonymous')::uuid, job ->> 'type', '${worker}', 'supabase',
         'images', job ->> 'prompt', job ->> 'model_variant', coalesce((job ->> 'priority')::integer, 0), job
    from jsonb_array_elements($1::jsonb) with ordinality as each (job, place)
   order by place`;

export interface SharedProject {
  readonly postgres: TestPostgres;
  readonly door: SupabaseDoor;
  /** Asked at each request whether it goes wrong. */
  fault: ((path: string) => DoorFault | undefined) | undefined;
}

/** One project for all tests of a file. */
export function useProject(): SharedProject {
  let postgres: TestPostgres | undefined;
  let door: SupabaseDoor | undefined;
  const shared: SharedProject = {
    get postgres() {
      if (postgres === undefined) throw new Error("the database runs only while tests do");
      return postgres;
    },
    get door() {
      if (door === undefined) throw new Error("the door is open only while tests run");
      return door;
    },
    fault: undefined,
  };
  beforeAll(async () => {
    postgres = await startPostgres();
    await postgres.database.query(movableClock);
    door = await startSupabaseDoor({ database: postgres.api, fault: (path) => shared.fault?.(path) });
  });
  afterAll(async () => {
    await door?.close();
    await postgres?.stop();
  });
  return shared;
}

export interface SupabaseHarness extends Harness {
  /** The first container's source itself, which knows jobs by their UUIDs. */
  readonly supabase: SupabaseSource;
  readonly names: Names;
  second(options?: Partial<SupabaseSourceOptions>): Promise<Side & { readonly supabase: SupabaseSource }>;
}

/** An empty project with one container on it. */
export async function openHarness(
  { postgres, door }: SharedProject,
  defaults: Partial<SupabaseSourceOptions> = {},
): Promise<SupabaseHarness> {
  const names = new Names();
  const opened: SupabaseSource[] = [];
  const { database } = postgres;
  const makeUser = async (id: string) => {
    await database.query("insert into auth.users (id) values ($1) on conflict do nothing", [id]);
  };
  function open(options: Partial<SupabaseSourceOptions> = {}) {
    const supabase = createSupabaseSource({
      url: door.url,
      serviceKey: door.secretKey,
      workerId: `container-${opened.length + 1}`,
      workers: ["sdxl"],
      leaseSeconds,
      idlePoll: { firstMs: 30, maxMs: 60, cancelMs: 40 },
      ...defaults,
      ...options,
    });
    opened.push(supabase);
    return { supabase, source: namedSource(supabase, names), queue: namedQueue(supabase, names, makeUser) };
  }
  await emptyTables(database.query, ["ourvidz.jobs", "ourvidz.usage", "ourvidz.offers", "ourvidz.paused_queues"]);
  await database.query("update ourvidz.test_clock set passed = '0'");
  const advance = async (ms: number): Promise<void> => {
    await database.query("update ourvidz.test_clock set passed = passed + make_interval(secs => $1)", [ms / 1000]);
  };
  return {
    ...open(),
    names,
    advance,
    grow: advance,
    async fill(jobs) {
      const outward = jobs.map((job) => names.outward(job));
      for (const id of new Set(outward.map(({ user_id }) => user_id))) if (id !== "anonymous") await makeUser(id);
      await database.query(fillStatement, [JSON.stringify(outward)]);
    },
    second: async (options) => open(options),
    async close() {
      await Promise.all(opened.map((source) => source.close()));
    },
  };
}
