import { type FieldProblem, type Job, jobEnvelope, safeId } from "./job.ts";
import { currentJobType } from "./job-types.ts";
import { parseExactJson } from "./json.ts";
import { excessOf, jobLimits } from "./json-limits.ts";
import { describeProblems, parseWith, shortened } from "./problems.ts";
import { reservedProblems, withoutReserved } from "./reserved-metadata.ts";
import { isGiven, isJsonObject, type JsonObject } from "./synonyms.ts";

/** Limits of one element of a queue. A job is a few kilobytes; what is far above that is not one. */
export const maxJobCharacters = 1_048_576;
const maxWrappers = 6;

/**
 * `rejected` is there when the element is a job (it has an id and a type) but the fields that all job types share are
 * wrong: it can be settled as failed, with the problems in its callback. `rejected.job` lacks the bad fields and must
 * not be run. Without `rejected` the element goes to the dead letters, with `raw` and the reason.
 */
export type DecodeResult =
  | { readonly ok: true; readonly job: Job }
  | {
      readonly ok: false;
      readonly reason: string;
      readonly raw: string;
      readonly rejected?: { readonly job: Job; readonly problems: readonly FieldProblem[] };
    };

type Step<Value> = { readonly value: Value } | { readonly reason: string };

/** Names of the fields at the top of a job, the canonical one first; the first that is given wins. */
const dialects = [
  ["id", "jobId", "job_id"],
  ["type", "jobType", "job_type"],
  ["user_id", "userId"],
  ["negative_prompt", "negativePrompt"],
  ["created_at", "createdAt"],
  ["model_variant", "modelVariant"],
  ["image_id", "imageId"],
  ["video_id", "videoId"],
  ["character_id", "characterId"],
  ["compel_enabled", "compelEnabled"],
  ["compel_weights", "compelWeights"],
  ["reference_image_url", "referenceImageUrl"],
] as const;

/** Every name that a field at the top of a job has in one of the dialects. */
export const jobFieldNames: ReadonlySet<string> = new Set<string>([...dialects.flat(), "depends_on"]);

/**
 * Reads one element of a queue, in whichever dialect its producer speaks: the job's JSON, that JSON as a string (also
 * encoded twice), either of them as the only entry of a list or under `data`. Never throws, whatever the bytes.
 */
export function decodeElement(raw: unknown): DecodeResult {
  const text = textOf(raw);
  if (text === undefined) return { ok: false, reason: "the element is not JSON", raw: "" };
  const unwrapped = text.length > maxJobCharacters ? tooLarge(text) : unwrap(text);
  if ("reason" in unwrapped) return { ok: false, reason: unwrapped.reason, raw: text };
  return checked(underCanonicalNames(unwrapped.value), text);
}

/** The same for an element that comes from its producer: one with what a container alone may write is rejected, without it. */
export function decodeProduced(raw: unknown): DecodeResult {
  const decoded = decodeElement(raw);
  const read = decoded.ok ? { job: decoded.job, problems: [] } : decoded.rejected;
  const reserved = reservedProblems(read?.job);
  if (read === undefined || reserved.length === 0) return decoded;
  const problems = [...read.problems, ...reserved];
  const job = { ...read.job, metadata: withoutReserved(read.job.metadata) };
  return { ok: false, reason: describeProblems(problems), raw: textOf(raw) ?? "", rejected: { job, problems } };
}

function textOf(raw: unknown): string | undefined {
  if (typeof raw === "string") return raw;
  if (raw instanceof Uint8Array) return new TextDecoder().decode(raw);
  try {
    return JSON.stringify(raw) ?? undefined;
  } catch {
    return undefined;
  }
}

function tooLarge(text: string): Step<JsonObject> {
  const length = text.length.toLocaleString("en-US");
  return {
    reason: `the element has ${length} characters: at most ${maxJobCharacters.toLocaleString("en-US")} are read`,
  };
}

function unwrap(text: string): Step<JsonObject> {
  let value: unknown = text;
  for (let layer = 0; layer < maxWrappers; layer++) {
    if (typeof value === "string") {
      const parsed = parseJson(value);
      if ("reason" in parsed) return parsed;
      value = parsed.value;
    } else if (Array.isArray(value)) {
      if (value.length !== 1) return { reason: `the element is a list of ${value.length} entries, not of one job` };
      value = value[0];
    } else if (isJsonObject(value)) {
      if (!isWrapper(value)) return { value };
      value = value.data;
    } else {
      return { reason: `the element holds ${JSON.stringify(value)}, not a job` };
    }
  }
  return isJsonObject(value) && !isWrapper(value)
    ? { value }
    : { reason: `the element is wrapped more than ${maxWrappers} times` };
}

function isWrapper(value: JsonObject): boolean {
  const wraps = typeof value.data === "string" || (typeof value.data === "object" && value.data !== null);
  return wraps && !dialects[1].some((name) => isGiven(value[name]));
}

function parseJson(text: string): Step<unknown> {
  if (text.trim() === "") return { reason: "the element is empty" };
  const excess = excessOf(text, jobLimits);
  if (excess !== null) return { reason: `the element ${excess.message}` };
  try {
    const value = parseExactJson(text.replace(/^\uFEFF/, ""));
    removePrototypeKeys(value);
    return { value };
  } catch {
    return { reason: "the element is not JSON" };
  }
}

/** Of a freshly parsed value, so that copying or merging it later cannot change a prototype. */
function removePrototypeKeys(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if (Object.hasOwn(value, "__proto__")) Reflect.deleteProperty(value, "__proto__");
  for (const child of Object.values(value)) removePrototypeKeys(child);
}

function underCanonicalNames(job: JsonObject): JsonObject {
  const result = { ...job };
  for (const names of dialects) {
    const used = names.find((name) => isGiven(job[name])) ?? names.find((name) => Object.hasOwn(job, name));
    for (const name of names) delete result[name];
    if (used !== undefined) result[names[0]] = job[used];
  }
  if (typeof result.type === "string") result.type = currentJobType(result.type);
  for (const name of ["id", "user_id"]) if (isGiven(result[name])) result[name] = idText(result[name]);
  return result;
}

/** Some producers' ids are numbers: they are meant as texts. One that JSON's numbers do not hold exactly stays as it is. */
function idText(id: unknown): unknown {
  return typeof id === "number" && Number.isSafeInteger(id) ? String(id) : id;
}

function checked(job: JsonObject, raw: string): DecodeResult {
  const { id, type } = job;
  if (!isGiven(id)) return { ok: false, reason: `the job has no id (${dialects[0].join(", ")})`, raw };
  if (!safeId.safeParse(id).success) {
    const shown = JSON.stringify(shortened(id));
    const allowed = "1 to 128 letters, digits, '-' or '_', beginning with a letter or digit";
    return { ok: false, reason: `the job's id is ${shown}: must be ${allowed}`, raw };
  }
  if (!isGiven(type) || type === "") {
    return { ok: false, reason: `the job has no type (${dialects[1].join(", ")})`, raw };
  }
  if (typeof type !== "string") {
    return { ok: false, reason: `the job's type is ${JSON.stringify(shortened(type))}: must be a text`, raw };
  }
  const parsed = parseWith(jobEnvelope, job);
  if (parsed.ok) return { ok: true, job: parsed.value };
  const { problems } = parsed;
  const salvaged = withoutBadFields(job, problems);
  const reason = describeProblems(problems);
  return salvaged
    ? { ok: false, reason, raw, rejected: { job: { ...salvaged, type }, problems } }
    : { ok: false, reason, raw };
}

function withoutBadFields(job: JsonObject, problems: readonly FieldProblem[]): Job | undefined {
  const bad = new Set(problems.map(({ field }) => field.split(".")[0]));
  const kept = Object.fromEntries(Object.entries(job).filter(([key]) => !bad.has(key)));
  const parsed = jobEnvelope.safeParse({ ...kept, type: "rejected" });
  return parsed.success ? parsed.data : undefined;
}
