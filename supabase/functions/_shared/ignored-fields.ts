import { type JobSchema, knownFields } from "./check-job.ts";
import { deliveryFields } from "./fields.ts";
import { inputFieldsOf } from "./input-fields.ts";
import { jobEnvelope } from "./job.ts";
import { unreadKeys } from "./parameters.ts";
import { resultFieldNames } from "./result-fields.ts";
import {
  canonicalJob,
  isGiven,
  isJsonObject,
  type JsonObject,
  nameGiven,
  parameterNames,
  synonymsOf,
} from "./synonyms.ts";

/** How many fields are named: a job may have tens of thousands. */
export const maxNamed = 100;

export interface IgnoredFields {
  /** The first hundred. */
  readonly ignored: string[];
  /** How many there are beside those; absent when there are none. */
  readonly ignored_more?: number;
}

/** @param more how many there are beside all of these */
export function namedOf(names: readonly string[], more = 0): IgnoredFields {
  const left = Math.max(0, names.length - maxNamed) + more;
  return { ignored: names.slice(0, maxNamed), ...(left === 0 ? {} : { ignored_more: left }) };
}

/**
 * What a job gives and nothing reads, the queue and the delivery included, under the names that it uses: keys of `config` by
 * name, those of `metadata` as `metadata.<name>`. Nothing is said of the `config` of a job type without `parameters`: its
 * own code reads it.
 */
export function ignoredBy(schema: JobSchema, job: Readonly<JsonObject>): IgnoredFields {
  const { job: looked, left } = cut(schema, job, []);
  return namedOf(ignoredBelow(schema, looked), left.config);
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
): IgnoredFields {
  const { job: looked, left } = cut(schema, job, queueing);
  const { job: known } = knownFields(schema.input);
  const isRead = (field: string) =>
    known === null || known.has(field) || Object.hasOwn(jobEnvelope.shape, field) || queueing.includes(field);
  const canonical = objectOf(canonicalJob(looked));
  const atTop = Object.keys(canonical).filter((field) => isGiven(canonical[field]) && !isRead(field));
  const below = ignoredBelow(schema, looked).map((name) =>
    name.startsWith("metadata.") || isAtTop(looked, name) ? name : `config.${name}`,
  );
  return namedOf([...atTop, ...below], (known === null ? 0 : left.top) + left.config);
}

function ignoredBelow(schema: JobSchema, job: Readonly<JsonObject>): string[] {
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

interface CutJob {
  readonly job: JsonObject;
  /** How many fields it lacks that nothing reads. */
  readonly left: { readonly top: number; readonly config: number };
}

/**
 * The job with at most a hundred fields in each place that have no meaning anywhere: each field that stays is copied and
 * compared several times over, and of the others no more is said than how many they are. In `metadata` they are the app's own.
 */
function cut(schema: JobSchema, whole: Readonly<JsonObject>, queueing: readonly string[]): CutJob {
  const hasMeaning = meaningOf(schema, queueing);
  const top = cutObject(whole, hasMeaning);
  const config = cutObject(objectOf(whole.config), hasMeaning);
  const metadata = cutObject(objectOf(whole.metadata), hasMeaning);
  const job = {
    ...top.kept,
    ...(isJsonObject(whole.config) ? { config: config.kept } : {}),
    ...(isJsonObject(whole.metadata) ? { metadata: metadata.kept } : {}),
  };
  return { job, left: { top: top.left, config: schema.parameters === undefined ? 0 : config.left } };
}

function cutObject(object: JsonObject, hasMeaning: (name: string) => boolean) {
  const names = Object.keys(object);
  if (names.length <= maxNamed) return { kept: object, left: 0 };
  const kept: [string, unknown][] = [];
  let meaningless = 0;
  for (const name of names) {
    const value = object[name];
    if (hasMeaning(name)) kept.push([name, value]);
    else if (isGiven(value) && ++meaningless <= maxNamed) kept.push([name, value]);
  }
  return { kept: Object.fromEntries(kept), left: Math.max(0, meaningless - maxNamed) };
}

/** Whether a name means something somewhere in a job of the type, under any synonym. */
function meaningOf(schema: JobSchema, queueing: readonly string[]): (name: string) => boolean {
  const { input, parameters } = schema;
  const known = knownFields(input);
  const names = new Set([
    ...Object.keys(parameters?.shape ?? {}),
    ...[...(known.job ?? []), ...known.config, ...known.metadata],
    ...[...Object.keys(jobEnvelope.shape), ...Object.keys(deliveryFields), ...queueing],
    ...[...parameterNames, ...inferenceMetadata, ...resultFieldNames],
  ]);
  return (name) => names.has(name);
}
