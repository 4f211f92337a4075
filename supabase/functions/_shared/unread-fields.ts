import { type JobSchema, knownFields } from "./check-job.ts";
import { deliveryFields } from "./fields.ts";
import { type IgnoredFields, ignoredFields } from "./ignored-fields.ts";
import { jobEnvelope } from "./job.ts";
import { nearestName } from "./near-names.ts";
import { isGiven, isJsonObject, type JsonObject, synonymsOf } from "./synonyms.ts";

/** Names under which other services take the address that a job's end is reported to. */
const webhookKeys = ["webhook", "webhooks", "webhookurl", "callback", "callbackurl", "notifyurl", "notificationurl"];

/** For how many of them one that was meant is looked for. */
const maxCompared = 20;

/** In one place of a job: at its top, in `config` or in `metadata`. */
interface Field {
  readonly place: "" | "config." | "metadata.";
  readonly name: string;
}

/** What an answer to a job says of the fields that nothing reads. */
export interface UnreadFields extends IgnoredFields {
  /** For some of them, the field that was probably meant; absent when nothing comes near. */
  readonly did_you_mean?: Record<string, string>;
}

/**
 * The fields that nothing reads, and those that were probably meant: the address of a webhook under another name, a known name in
 * another spelling (`numImages`) or place, or one letter away from it. A field that the job gives too was not meant.
 * @param queueing as for {@link ignoredFields}
 */
export function unreadFields(
  schema: JobSchema,
  job: Readonly<JsonObject>,
  queueing: readonly string[] = [],
): UnreadFields {
  const named = ignoredFields(schema, job, queueing);
  const candidates = candidatesOf(schema, queueing);
  const known = new Set(candidates.map(fullName));
  const free = candidates.filter((field) => !isGivenIn(job, field));
  const meant = named.ignored.slice(0, maxCompared).flatMap((full) => {
    const found = known.has(full) ? undefined : meantBy(fieldOf(full), free);
    return found === undefined ? [] : [[full, fullName(found)] as const];
  });
  return { ...named, ...(meant.length === 0 ? {} : { did_you_mean: Object.fromEntries(meant) }) };
}

function candidatesOf({ input, parameters }: JobSchema, queueing: readonly string[]): Field[] {
  const known = knownFields(input);
  const inPlace = (place: Field["place"], names: Iterable<string>) =>
    [...new Set(names)].map((name): Field => ({ place, name }));
  const parameterNames = Object.keys(parameters?.shape ?? {}).flatMap(synonymsOf);
  return [
    ...inPlace("", [...Object.keys(jobEnvelope.shape), ...(known.job ?? []), ...queueing]),
    ...inPlace("config.", [...parameterNames, ...known.config, ...Object.keys(deliveryFields)]),
    ...inPlace("metadata.", known.metadata),
  ];
}

function meantBy({ place, name }: Field, candidates: readonly Field[]): Field | undefined {
  const key = keyOf(name);
  if (webhookKeys.includes(key)) return candidates.find((field) => field.name === "webhook_url");
  const sameName = candidates.filter((field) => keyOf(field.name) === key);
  if (sameName.length > 0) return sameName.find((field) => field.place === place) ?? sameName[0];
  if (key.length < 4) return undefined;
  const sameLevel = candidates.filter((field) => field.place === place);
  const nearest = nearestName(
    key,
    sameLevel.map((field) => keyOf(field.name)),
    1,
  );
  return sameLevel.find((field) => keyOf(field.name) === nearest);
}

/** `numImages`, `num-images` and `num_images` are one name. */
const keyOf = (name: string) => name.toLowerCase().replaceAll(/[_\s-]/g, "");

const fullName = ({ place, name }: Field) => `${place}${name}`;

function fieldOf(full: string): Field {
  for (const place of ["config.", "metadata."] as const)
    if (full.startsWith(place)) return { place, name: full.slice(place.length) };
  return { place: "", name: full };
}

/** An empty object is what the envelope makes of none. */
function isGivenIn(job: Readonly<JsonObject>, { place, name }: Field): boolean {
  const holder = place === "" ? job : job[place.slice(0, -1)];
  const value = isJsonObject(holder) ? holder[name] : undefined;
  return isGiven(value) && !(isJsonObject(value) && Object.keys(value).length === 0);
}
