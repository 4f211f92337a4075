import { z } from "zod";
import { keyProblem, writingProblem } from "#contract/environment-text.ts";
import { describeProblems, parseWith } from "#contract/problems.ts";

/** Variables as the process has them; one that is empty is left out before. */
export type Environment = Readonly<Record<string, string | undefined>>;

export type ReadVariables<Values> =
  | { readonly ok: true; readonly values: Values }
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * Reads the variables that a schema names. What is wrong comes as one line for each, with the value that was given,
 * unless it is a secret. Quotes and line breaks are never taken for a part of a value.
 */
export function readVariables<Schema extends z.ZodObject>(
  schema: Schema,
  given: Environment,
  secrets: ReadonlySet<string>,
): ReadVariables<z.output<Schema>> {
  // White space around a port or a folder is never meant; of a secret nobody can tell.
  const meant = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, secrets.has(name) ? value : value?.trim()]),
  );
  const written = Object.keys(schema.shape).flatMap((name) => {
    const problem = writingProblem(meant[name] ?? "");
    return problem === null ? [] : [`${name} ${problem}`];
  });
  // What the schema says of such a value would be another word for the same.
  if (written.length > 0) return { ok: false, problems: written };
  const parsed = parseWith(schema, meant);
  if (parsed.ok) return { ok: true, values: parsed.value };
  const problems = parsed.problems.map((problem) =>
    secrets.has(problem.field) ? `${problem.field}: ${problem.message}` : describeProblems([problem]),
  );
  return { ok: false, problems };
}

/** A secret that travels in a header. */
export const headerSecret = z.string().superRefine((key, context) => {
  const problem = keyProblem(key);
  if (problem !== null) context.addIssue({ code: "custom", message: problem });
});

/** Parts between commas; an empty text has none. */
export function commaSeparated(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
