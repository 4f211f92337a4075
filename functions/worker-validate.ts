import { z } from "zod";
import { type Check, type Subject, subjects } from "#runtime/check/tried.ts";
import type { Config } from "#runtime/container/config.ts";
import { defineRoute } from "./http/route.ts";
import { sharedWhileUnderWay } from "./worker/shared.ts";

const verdict = z.enum(["ok", "warning", "failed"]);

const check = z.object({
  name: z.string(),
  status: verdict,
  /** What was found, or what is wrong and what to do. */
  message: z.string(),
});

/** What `ourvidz validate` tries, with the configuration that this container runs with. Loaded when it is asked for. */
const tryEverything = sharedWhileUnderWay(async (config: Config) =>
  (await import("#runtime/check/checks.ts")).runChecks(() => Promise.resolve(config)),
);

/** GET /worker/validate: each part really tried, beside the jobs that run. */
export const validateWorker = defineRoute({
  method: "GET",
  path: "/worker/validate",
  access: "key",
  summary: "Try everything that a container needs, and say what to do about what fails",
  description:
    "Takes some seconds: executors are started, files written, services used with the container's keys. Who asks meanwhile gets the same answer. A warning does not make it invalid.",
  responses: {
    200: z.object({
      status: z.enum(["valid", "invalid"]),
      /** The worst of each subject; a subject that is not configured is absent. */
      checks: z.partialRecord(z.enum(subjects), verdict),
      details: z.partialRecord(z.enum(subjects), z.array(check)),
    }),
  },
}).handle(async (_request, { config }) => {
  const bySubject = Map.groupBy(await tryEverything(config), ({ subject }) => subject);
  const all = [...bySubject.values()].flat();
  return {
    status: 200,
    body: {
      status: all.some(({ status }) => status === "failed") ? "invalid" : "valid",
      checks: eachSubject(bySubject, worst),
      details: eachSubject(bySubject, (checks) => checks.map(({ subject, ...rest }) => rest)),
    },
  };
});

function worst(checks: readonly Check[]): Check["status"] {
  const found = new Set(checks.map(({ status }) => status));
  if (found.has("failed")) return "failed";
  return found.has("warning") ? "warning" : "ok";
}

function eachSubject<Value>(
  bySubject: ReadonlyMap<Subject, readonly Check[]>,
  summarise: (checks: readonly Check[]) => Value,
): Partial<Record<Subject, Value>> {
  const values: Partial<Record<Subject, Value>> = {};
  for (const [subject, checks] of bySubject) values[subject] = summarise(checks);
  return values;
}
