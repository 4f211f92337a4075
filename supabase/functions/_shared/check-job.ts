import { z } from "zod";
import type { FieldProblem } from "./job.ts";
import { parameterProblems } from "./parameters.ts";
import { type Parsed, parseWith } from "./problems.ts";
import { resultFieldProblems } from "./result-fields.ts";
import { isGiven, isJsonObject, type JsonObject, loraNames } from "./synonyms.ts";

/** What a job of one type must look like. A handler is one; so is what the contract knows of the types that ship. */
export interface JobSchema<Input extends z.ZodType = z.ZodType> {
  /** The whole job, but for what `parameters` says of its `config`. */
  readonly input: Input;
  /** What is read from `config`. Without it, `config` is the schema of the job's own matter. */
  readonly parameters?: z.ZodObject;
  /** Parameters that apply where neither the job nor its model gives them. */
  readonly defaults?: Readonly<JsonObject>;
  /** Replaces some of `defaults` for a job (which is checked) that needs others. */
  defaultsFor?(job: Readonly<JsonObject>): Readonly<JsonObject> | undefined;
  /** Fields that `input` or `parameters` has and this job gives in vain, as `ignoredBy` returns them. */
  unusedFields?(job: Readonly<JsonObject>): readonly string[];
}

/**
 * The check of every door: the edge function, HTTP, the command, the take from a queue, and the executor. It names every
 * bad field of the job and of its parameters, and what would change the result and is not read. The value is what the
 * handler's `run` gets.
 */
export function checkJob<Input extends z.ZodType>(schema: JobSchema<Input>, job: unknown): Parsed<z.output<Input>> {
  const { input, parameters, defaults = {} } = schema;
  const parsed = parseWith(input, job);
  const written = configOf(job);
  // Some schemas move fields into `config`.
  const config = parsed.ok ? configOf(parsed.value) : written;
  const ofParameters =
    parameters === undefined || config === null
      ? []
      : parameterProblems(parameters, { explicit: config, handler: defaults }, written ?? {});
  const unread = unreadResultFields(schema, job);
  if (parsed.ok && ofParameters.length + unread.length === 0) return parsed;
  return { ok: false, problems: together(parsed.ok ? [] : parsed.problems, [...ofParameters, ...unread]) };
}

/** Nothing for a job type without `parameters`: its own code reads what it likes. */
function unreadResultFields({ input, parameters }: JobSchema, job: unknown): FieldProblem[] {
  if (parameters === undefined || !isJsonObject(job)) return [];
  const known = knownFields(input);
  const takes = (name: string) => Object.hasOwn(parameters.shape, name) || known.config.has(name);
  const isRead = (name: string) => takes(name) || (loraNames.some((one) => one === name) && takes("loras"));
  return [
    ...resultFieldProblems(configOf(job) ?? {}, "config.", isRead),
    ...(known.job === null ? [] : resultFieldProblems(job, "", (name) => known.job?.has(name) ?? true)),
  ];
}

/** Null for what is no object: then that is the problem, and not what it lacks. */
function configOf(job: unknown): JsonObject | null {
  if (!isJsonObject(job)) return null;
  if (!isGiven(job.config)) return {};
  return isJsonObject(job.config) ? job.config : null;
}

/** The job's own word on a field comes first. */
function together(ofJob: readonly FieldProblem[], ofParameters: readonly FieldProblem[]): FieldProblem[] {
  const known = new Set(ofJob.map(({ field }) => field));
  return [...ofJob, ...ofParameters.filter(({ field }) => !known.has(field))];
}

interface KnownFields {
  /** Null when the schema does not say which fields it has. */
  readonly job: ReadonlySet<string> | null;
  readonly config: ReadonlySet<string>;
  readonly metadata: ReadonlySet<string>;
}

const knownByInput = new WeakMap<z.ZodType, KnownFields>();
const withProperties = z.object({ properties: z.record(z.string(), z.unknown()).optional() }).catch({});

/** The fields that a job's schema names, at its top and one level below. */
export function knownFields(input: z.ZodType): KnownFields {
  const remembered = knownByInput.get(input);
  if (remembered !== undefined) return remembered;
  const { properties } = withProperties.parse(z.toJSONSchema(input, { io: "input", unrepresentable: "any" }));
  const below = (name: string) => new Set(Object.keys(withProperties.parse(properties?.[name]).properties ?? {}));
  const known = {
    job: properties === undefined ? null : new Set(Object.keys(properties)),
    config: below("config"),
    metadata: below("metadata"),
  };
  knownByInput.set(input, known);
  return known;
}
