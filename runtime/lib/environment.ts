import type { z } from "zod";
import { describeProblems, parseWith } from "#contract/problems.ts";

/** Variables as the process has them; one that is empty is left out before. */
export type Environment = Readonly<Record<string, string | undefined>>;

export type ReadVariables<Values> =
  | { readonly ok: true; readonly values: Values }
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * Reads the variables that a schema names. What is wrong comes as one line for each, with the value that was given,
 * unless it is a secret.
 */
export function readVariables<Schema extends z.ZodType>(
  schema: Schema,
  given: Environment,
  secrets: ReadonlySet<string>,
): ReadVariables<z.output<Schema>> {
  const parsed = parseWith(schema, given);
  if (parsed.ok) return { ok: true, values: parsed.value };
  const problems = parsed.problems.map((problem) =>
    secrets.has(problem.field) ? `${problem.field}: ${problem.message}` : describeProblems([problem]),
  );
  return { ok: false, problems };
}

/** Parts between commas; an empty text has none. */
export function commaSeparated(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
