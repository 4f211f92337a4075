import type { Job } from "#contract/job.ts";
import { isJsonObject, type JsonObject } from "#contract/synonyms.ts";

/** A text of a job, by its place: `["config", "image_refs", "0"]`. */
export interface FoundText {
  readonly path: readonly string[];
  readonly text: string;
}

const deepest = 6;

/** Where files may be named: in `config` and `metadata`, at any depth that a job type has, and beside them. */
export function textsOf(value: unknown, path: readonly string[]): FoundText[] {
  if (typeof value === "string") return path.length === 0 || isProse(path) ? [] : [{ path, text: value }];
  if (path.length >= deepest || typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) => textsOf(child, [...path, name]));
}

/** A prompt is a text, whatever it looks like. */
function isProse(path: readonly string[]): boolean {
  return path.length === 1 && (path[0] === "prompt" || path[0] === "negative_prompt");
}

/** The last name of a path: that of the list, for an entry of one. */
export function fieldAt(path: readonly string[]): string | undefined {
  return path.findLast((name) => !/^\d+$/.test(name));
}

export function mapJob(job: Job, replace: (path: readonly string[], text: string) => string): Job {
  const map = (value: unknown, path: readonly string[]): unknown => {
    if (typeof value === "string") return isProse(path) ? value : replace(path, value);
    if (path.length >= deepest) return value;
    if (Array.isArray(value)) return value.map((child, index) => map(child, [...path, String(index)]));
    return isJsonObject(value) ? mapObject(value, path) : value;
  };
  const mapObject = (object: JsonObject, path: readonly string[]): JsonObject =>
    Object.fromEntries(Object.entries(object).map(([name, child]) => [name, map(child, [...path, name])]));
  const { config, metadata, ...fields } = job;
  return {
    ...job,
    ...mapObject(fields, []),
    config: mapObject(config, ["config"]),
    metadata: mapObject(metadata, ["metadata"]),
  };
}
