import { shortened } from "#contract/problems.ts";
import { isJsonObject, type JsonObject } from "#contract/synonyms.ts";

/* What comes back when a job is requested. */

/** A job as RunPod hands it out. */
export interface RunpodJob {
  readonly id: string;
  /** Undefined when there was none: the platform leaves an empty one out. */
  readonly input: unknown;
  /** What came beside it, such as `s3Config` and `webhook`. */
  readonly rest: Readonly<JsonObject>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

export type TakeAnswer =
  | { readonly kind: "jobs"; readonly jobs: readonly RunpodJob[]; readonly problems: readonly string[] }
  | { readonly kind: "none" }
  /** Too many requests: pause. */
  | { readonly kind: "throttled" }
  /** Something is wrong that a person may have to mend. */
  | { readonly kind: "refused"; readonly status: number; readonly message: string };

/** 400 is the answer to a container that was frozen and woken again: there is no job for it at this moment. */
export function readTakeAnswer({ status, contentType, text }: HttpAnswer): TakeAnswer {
  if (status === 204 || status === 400) return { kind: "none" };
  if (status === 429) return { kind: "throttled" };
  if (status !== 200) return { kind: "refused", status, message: `it answers ${status}` };
  if (text.trim() === "") return { kind: "none" };
  const value = parse(text);
  if (value === undefined) {
    const type = contentType === "" ? "without a type" : `of the type ${shown(contentType)}`;
    return { kind: "refused", status, message: `it answers 200 with a body ${type} that is not JSON` };
  }
  if (value === null) return { kind: "none" };
  const given = Array.isArray(value) ? value : [value];
  const read = given.map(readJob);
  const jobs = read.filter((job) => typeof job !== "string");
  return read.length === 0
    ? { kind: "none" }
    : { kind: "jobs", jobs, problems: read.filter((job) => typeof job === "string") };
}

/** Ids of the jobs that are to be stopped. */
export function readStopAnswer({ status, text }: HttpAnswer): readonly string[] {
  const value = status === 200 ? parse(text) : undefined;
  const ids = isJsonObject(value) && Array.isArray(value.jobsToStop) ? value.jobsToStop : [];
  return ids.filter((id) => typeof id === "string");
}

/** The job, or why it is none. */
function readJob(value: unknown): RunpodJob | string {
  if (!isJsonObject(value)) return `it is ${shown(value)}, not an object`;
  const { id, input, ...rest } = value;
  if (typeof id !== "string" || id === "") return `its id is ${shown(id)}, not a text`;
  return { id, input: input ?? undefined, rest };
}

function shown(value: unknown): string {
  return JSON.stringify(shortened(value ?? null));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
