import { afterAll, beforeAll, beforeEach, describe } from "vitest";
import { emptyTables } from "../support/supabase/database.ts";
import { startPglite } from "../support/supabase/pglite.ts";
import { startPostgres } from "../support/supabase/postgres.ts";
import { describeAccess } from "./access.ts";
import { describeCallbacks } from "./callbacks.ts";
import { describeDependencies } from "./dependencies.ts";
import { describeEnds } from "./ends.ts";
import { describeEnqueueing } from "./enqueueing.ts";
import { describeExpiry } from "./expiry.ts";
import { describeLeases } from "./leases.ts";
import { describeOffers } from "./offers.ts";
import { describeOperators } from "./operators.ts";
import { describeRuns } from "./runs.ts";
import { ann, bob, type Project, type UseProject } from "./support.ts";
import { describeTransitions } from "./transitions.ts";
import { describeWorkers } from "./workers.ts";

/* The same rules on a real PostgreSQL, as at Supabase, and on PGlite, as in apps' own tests. */

const tables = ["ourvidz.jobs", "ourvidz.usage", "ourvidz.workers", "ourvidz.offers", "ourvidz.paused_queues"];

interface StartedProject extends Project {
  stop(): Promise<void>;
}

const databases: Readonly<Record<string, () => Promise<StartedProject>>> = {
  async PostgreSQL() {
    const { database, api, stop } = await startPostgres();
    return { owner: database, api, stop };
  },
  async PGlite() {
    const { database, stop } = await startPglite();
    return { owner: database, api: database, stop };
  },
};

describe.each(Object.entries(databases))("%s", (_name, start) => {
  let project: StartedProject | undefined;

  beforeAll(async () => {
    project = await start();
    await project.owner.query("insert into auth.users (id) values ($1), ($2)", [ann, bob]);
  }, 120_000);

  afterAll(() => project?.stop());

  beforeEach(async () => {
    if (project !== undefined) await emptyTables(project.owner.query, tables);
  });

  const use: UseProject = () => {
    if (project === undefined) throw new Error("the database runs only while tests do");
    return project;
  };
  describeAccess(use);
  describeTransitions(use);
  describeEnqueueing(use);
  describeLeases(use);
  describeDependencies(use);
  describeCallbacks(use);
  describeRuns(use);
  describeEnds(use);
  describeExpiry(use);
  describeOffers(use);
  describeOperators(use);
  describeWorkers(use);
});
