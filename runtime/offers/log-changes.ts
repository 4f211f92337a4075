import type { Logger } from "#runtime/observe/log.ts";
import { type Condition, keyOf } from "./conditions.ts";

/** Logs one line for each condition that came or went; returns whether any did, or is another one now. */
export function logChanges(log: Logger, before: readonly Condition[], after: readonly Condition[]): boolean {
  const [earlier, now] = [active(before), active(after)];
  let changes = 0;
  for (const [key, { worker, kind, subject, error, isAbsence }] of now) {
    if (earlier.get(key)?.error.message === error.message) continue;
    changes++;
    if (isAbsence)
      log.info({ worker, model: subject }, "this model is not here: its jobs are left to other containers");
    else log.error({ worker, kind, subject, error }, `this container does not run ${nameOf(kind, subject)} now`);
  }
  for (const [key, { worker, kind, subject }] of earlier) {
    if (now.has(key)) continue;
    changes++;
    log.info({ worker, kind, subject }, `this container runs ${nameOf(kind, subject)} again`);
  }
  return changes > 0;
}

function active(all: readonly Condition[]): Map<string, Condition> {
  return new Map(all.filter(({ state }) => state === "active").map((each) => [keyOf(each), each]));
}

function nameOf(kind: Condition["kind"], subject: string): string {
  if (kind === "type") return `jobs of the type ${subject}`;
  return kind === "model" ? `jobs with the model ${subject}` : `jobs of the worker ${subject}`;
}
