import { z } from "zod";
import { deliveryFields } from "./fields.ts";
import { inputFieldsOf } from "./input-fields.ts";
import { type FieldProblem, jobEnvelope } from "./job.ts";
import { parameterProblems, unreadKeys } from "./parameters.ts";
import { type Parsed, parseWith } from "./problems.ts";
import { resultFieldNames, resultFieldProblems } from "./result-fields.ts";
import { canonicalJob, isGiven, isJsonObject, type JsonObject, loraNames, nameGiven, synonymsOf } from "./synonyms.ts";

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
  /** Fields that `input` or `parameters` has and this job gives in vain, as {@link ignoredBy} returns them. */
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

/** What the wire knows in `metadata` for the inference, whatever the job type. */
const inferenceMetadata = [
  "reference_image_url",
  "reference_type",
  "reference_strength",
  "reference_mode",
  "exact_copy_mode",
  "denoise_strength",
  "start_reference_url",
  "end_reference_url",
] as const;

/**
 * Keys of `metadata` that are meant for an inference: the wire's, and names that count in `config` or at the top of a job. All
 * others are the app's own.
 */
function meantForInference({ input, parameters }: JobSchema): ReadonlySet<string> {
  if (parameters === undefined) return new Set(inferenceMetadata);
  const { config } = knownFields(input);
  const names = [...Object.keys(parameters.shape), ...config].flatMap((name) => [name, ...synonymsOf(name)]);
  return new Set([...inferenceMetadata, ...names, ...resultFieldNames]);
}

/**
 * What a job gives and nothing reads, the queue and the delivery included, under the names that it uses: keys of `config` by
 * name, those of `metadata` as `metadata.<name>`. Nothing is said of the `config` of a job type without `parameters`: its
 * own code reads it.
 */
export function ignoredBy(schema: JobSchema, job: Readonly<JsonObject>): string[] {
  const { input, parameters } = schema;
  const canonical = objectOf(canonicalJob(job));
  const known = knownFields(input);
  const ofConfig = parameters === undefined ? [] : unreadKeys(parameters, writtenConfig(job, canonical));
  const metadata = objectOf(canonical.metadata);
  const meant = meantForInference(schema);
  const ofMetadata = Object.keys(metadata).filter(
    (key) => meant.has(key) && isGiven(metadata[key]) && metadata[key] !== "",
  );
  return [
    ...new Set([
      ...ofConfig.filter((key) => !Object.hasOwn(deliveryFields, key) && !known.config.has(key)),
      ...ofMetadata.filter((key) => !known.metadata.has(key)).map((key) => `metadata.${key}`),
      ...(schema.unusedFields?.(job) ?? []),
      ...emptyFiles(schema, objectOf(job.config)),
    ]),
  ];
}

/** Fields of `config` that take a file and are given an empty text: that is none, and producers that mean one are to see it. */
function emptyFiles(schema: JobSchema, config: JsonObject): string[] {
  const isEmpty = (value: unknown): boolean =>
    value === "" || (Array.isArray(value) && value.length > 0 && value.every(isEmpty));
  return inputFieldsOf(schema).flatMap(({ path: [place, name = ""], takes }) => {
    if (place !== "config" || takes === "weights") return [];
    const written = nameGiven(config, name) ?? name;
    return isEmpty(config[written]) ? [written] : [];
  });
}

/**
 * The same for who hands a job in: fields at its top too, by name, and those of `config` as `config.<name>`. It stays in the
 * job.
 * @param queueing fields that are no part of the job and say how to queue it
 */
export function ignoredFields(
  schema: JobSchema,
  job: Readonly<JsonObject>,
  queueing: readonly string[] = [],
): string[] {
  const { job: known } = knownFields(schema.input);
  const isRead = (field: string) =>
    known === null || known.has(field) || Object.hasOwn(jobEnvelope.shape, field) || queueing.includes(field);
  const canonical = objectOf(canonicalJob(job));
  const below = ignoredBy(schema, job).map((name) =>
    name.startsWith("metadata.") || isAtTop(job, name) ? name : `config.${name}`,
  );
  return [...Object.keys(canonical).filter((field) => isGiven(canonical[field]) && !isRead(field)), ...below];
}

/** A schema may name fields of the job itself as unused, beside those of its config. */
function isAtTop(job: Readonly<JsonObject>, name: string): boolean {
  return isGiven(job[name]) && !isGiven(objectOf(job.config)[name]);
}

/** `config` as the job gives it, but for a reference picture, whose place is in `metadata`. */
function writtenConfig(job: Readonly<JsonObject>, canonical: JsonObject): JsonObject {
  const { reference_image_url, ...others } = objectOf(job.config);
  return Object.hasOwn(objectOf(canonical.config), "reference_image_url") ? { reference_image_url, ...others } : others;
}

const objectOf = (value: unknown): JsonObject => (isJsonObject(value) ? value : {});

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
