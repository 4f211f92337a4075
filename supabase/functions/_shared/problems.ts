import type { z } from "zod";
import { PermanentError } from "./errors.ts";
import { listed } from "./fields.ts";
import { houseMessage } from "./house-messages.ts";
import type { FieldProblem } from "./job.ts";
import { redact, redactValue } from "./redact.ts";
import { isGiven, isJsonObject, nameGiven } from "./synonyms.ts";

export type Parsed<Output> =
  | { readonly ok: true; readonly value: Output }
  | { readonly ok: false; readonly problems: readonly FieldProblem[] };

type Issue = z.core.$ZodIssue;

const maxValueCharacters = 120;
/** What is redacted beyond the part that is shown, so that no secret is cut in two and not recognised. */
const redactedBeyond = 4000;
const maxProblems = 50;

/**
 * Checks a job (or any input) against its schema. What is wrong comes as one problem per field, with the value that was
 * given and what is allowed; where the producer used another name for the field, the message says which.
 */
export function parseWith<Schema extends z.ZodType>(schema: Schema, input: unknown): Parsed<z.output<Schema>> {
  const result = checked(schema, input);
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, problems: fieldProblems(result.error, input) };
}

/**
 * Zod compares the `length` of whatever has one, also of an object in the place of a text, and throws a TypeError where no number
 * can be made of it. Where that is done the object is wrong, with a `length` or without.
 */
function checked<Schema extends z.ZodType>(schema: Schema, input: unknown): z.ZodSafeParseResult<z.output<Schema>> {
  const options = { reportInput: true, error: houseMessage };
  try {
    return schema.safeParse(input, options);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return schema.safeParse(withoutLengths(input), options);
  }
}

function withoutLengths(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutLengths);
  if (!isJsonObject(value)) return value;
  const kept = Object.entries(value).filter(([name, child]) => name !== "length" || typeof child !== "object");
  return Object.fromEntries(kept.map(([name, child]) => [name, withoutLengths(child)]));
}

/** The problems of a zod error; `input` is what was parsed, for errors that were made without `reportInput`. */
export function fieldProblems(error: z.core.$ZodError, input?: unknown): FieldProblem[] {
  const problems = new Map<string, FieldProblem>();
  for (const issue of error.issues.flatMap((entry) => flattened(entry, []))) {
    const field = issue.path.map(String).join(".") || "job";
    const value = "input" in issue ? issue.input : valueAt(input, issue.path);
    const message = `${issue.message}${isGiven(value) ? givenAs(issue.path, input) : ""}`;
    const problem = isGiven(value) ? { field, value: shortened(value), message } : { field, message };
    const key = `${field}: ${issue.message}`;
    if (!problems.has(key)) problems.set(key, problem);
  }
  return [...problems.values()];
}

/** `config.num_images is 2: must be 1, 3 or 6; prompt is missing: must be …` */
export function describeProblems(problems: readonly FieldProblem[]): string {
  const shown = problems.slice(0, maxProblems).map(({ field, value, message }) => {
    const text = value === undefined ? "missing" : (JSON.stringify(value) ?? String(value));
    return `${field} is ${text}: ${message}`;
  });
  const more = problems.length - shown.length;
  return redact(`${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`);
}

/** @param what names it at the beginning of the sentence */
export function invalidJob(problems: readonly FieldProblem[], what = "The job"): PermanentError {
  return new PermanentError(`${what} is invalid: ${describeProblems(problems)}`, {
    code: "INVALID_JOB",
    details: problems.slice(0, maxProblems),
  });
}

export function unknownJobType(type: string, known: readonly string[]): PermanentError {
  const names = known.toSorted();
  const message = `Job type ${JSON.stringify(shortened(type))} is unknown: must be ${listed(names)}`;
  return new PermanentError(message, { code: "UNKNOWN_JOB_TYPE", details: { type: shortened(type), known: names } });
}

/** A value as it may be shown: redacted, and cut where it is long. What is long is not redacted whole, which takes long too. */
export function shortened(value: unknown): unknown {
  const given = typeof value === "string" ? value : jsonOf(value);
  if (given.length > maxValueCharacters + redactedBeyond) {
    return cut(redact(given.slice(0, maxValueCharacters + redactedBeyond)), given.length);
  }
  const safe = redactValue(value);
  const text = typeof safe === "string" ? safe : jsonOf(safe);
  return text.length <= maxValueCharacters ? safe : cut(text, text.length);
}

function cut(text: string, length: number): string {
  return `${text.slice(0, maxValueCharacters)}… (${length.toLocaleString("en-US")} characters)`;
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return "a value that is not JSON";
  }
}

const unionWithoutMessage = "Invalid input";

/**
 * The issues that are worth reporting of one issue. A union fails with the issues of every branch: a branch that got past
 * the value's own kind is the one that was meant, and its issues are reported; else the branches make one sentence.
 */
function flattened(issue: Issue, prefix: readonly PropertyKey[]): Issue[] {
  const path = [...prefix, ...issue.path];
  if (issue.code !== "invalid_union" || issue.message !== unionWithoutMessage) return [{ ...issue, path }];
  const meant = issue.errors
    .filter((branch) => branch.length > 0 && branch.every((entry) => entry.path.length > 0))
    .toSorted((left, right) => left.length - right.length)[0];
  if (meant) return meant.flatMap((entry) => flattened(entry, path));
  const messages = new Set(issue.errors.flat().map((entry) => entry.message.replace(/^must be /, "")));
  return [{ ...issue, path, message: `must be ${[...messages].join(" or ")}` }];
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined,
    input,
  );
}

function givenAs(path: readonly PropertyKey[], input: unknown): string {
  const [parent, name] = path;
  if (path.length !== 2 || parent !== "config" || typeof name !== "string") return "";
  const config = isJsonObject(input) && isJsonObject(input.config) ? input.config : {};
  const used = nameGiven(config, name);
  return used === undefined || used === name ? "" : ` (given as config.${used})`;
}
