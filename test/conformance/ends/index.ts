import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { describe, expect, test, vi } from "vitest";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { startCallbackServer } from "../../support/supabase/callback-server.ts";
import type { Harness } from "../sources/index.ts";
import { World } from "./world.ts";

/*
 * Two containers, their users and an app, at random: of every run of every job the app hears one end, the one that the source has,
 * and no progress after it. A seed makes the same choices again, though not in the same milliseconds.
 *
 *   RUNS=500 npx vitest run runtime/sources/sqlite/model.test.ts -t "one end"
 *   SEED=7 RUNS=20 npx vitest run …    the seed 7, ten times in each test
 */
export interface EndsOptions {
  /** How many worlds are tried, half of them with containers that are killed. */
  readonly runs: number;
  /** An empty storage, whose clock is moved. */
  open(): Promise<Harness>;
}

const handlers = fileURLToPath(new URL("../../support/ends-handlers", import.meta.url));
const log = pino({ level: "silent" });

export function testEndsAgainstModel({ runs, open }: EndsOptions): void {
  describe("of every job the app hears one end", () => {
    test.each([
      ["while no container dies", false],
      ["and what comes again is known, when containers are killed and answers lost", true],
    ])("%s", { timeout: 3_600_000 }, async (_when, isDeadly) => {
      const registry = await loadHandlers(handlers);
      for (let run = 0; run < Math.ceil(Number(process.env.RUNS ?? runs) / 2); run++) {
        const seed = Number(process.env.SEED ?? run + 1);
        const [harness, app] = [await open(), await startCallbackServer()];
        // Leases run out when the test says so, however busy the machine is.
        vi.useFakeTimers({ toFake: ["performance"] });
        try {
          await new World({ harness, app, registry, log, seed, isDeadly }).play();
        } catch (error) {
          expect.fail(`SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`);
        } finally {
          vi.useRealTimers();
          await app.close();
          await harness.close();
        }
      }
    });
  });
}
