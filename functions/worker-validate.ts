import type { Check, Subject } from "#runtime/check/tried.ts";
import type { Config } from "#runtime/container/config.ts";
import { readValidation, validateWorker } from "./api/worker-validate.ts";
import { defineRoute } from "./http/route.ts";
import { sharedWhileUnderWay } from "./worker/shared.ts";

/** What `ourvidz validate` tries, with the configuration that this container runs with. Loaded when it is first requested. */
const tryEverything = sharedWhileUnderWay(async (config: Config) =>
  (await import("#runtime/check/checks.ts")).runChecks(() => Promise.resolve(config)),
);

export const validateWorkerRoute = defineRoute(validateWorker).handle((_request, { config }) => validate(config));
export const readValidationRoute = defineRoute(readValidation).handle((_request, { config }) => validate(config));

async function validate(config: Config) {
  const bySubject = Map.groupBy(await tryEverything(config), ({ subject }) => subject);
  const all = [...bySubject.values()].flat();
  return {
    status: 200,
    body: {
      status: all.some(({ status }) => status === "failed") ? "invalid" : "valid",
      checks: eachSubject(bySubject, worst),
      details: eachSubject(bySubject, (checks) => checks.map(({ subject, ...rest }) => rest)),
    },
  } as const;
}

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
