/**
 * Producers of different age name the same parameter differently. Each row begins with the canonical name; the order
 * is the precedence where one job gives several of them. A name that loses with a different value stays where it is,
 * so that the runtime lists it among what nothing read; one that agrees is dropped.
 */
export const parameterSynonyms = [
  ["num_inference_steps", "sample_steps", "steps"],
  ["guidance_scale", "sample_guide_scale"],
  ["scheduler", "sample_solver"],
  ["flow_shift", "sample_shift"],
  ["frame_num", "num_frames", "frames", "video_length"],
  ["denoise_strength", "denoising_strength", "strength"],
  ["denoising_end", "denoising_start", "refiner_switch_at"],
  ["video_guide", "video_guide_path"],
] as const satisfies readonly (readonly [string, ...string[]])[];

export type JsonObject = Record<string, unknown>;

export interface Size {
  readonly width: number;
  readonly height: number;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Absent and null are "not given"; 0, false and "" are given. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** `[canonical, …synonyms]` of a parameter's name; a name without synonyms is alone in its row. */
export function synonymsOf(name: string): readonly string[] {
  return parameterSynonyms.find((names) => names.some((candidate) => candidate === name)) ?? [name];
}

/** The name under which a `config` gives a parameter: the one that wins where it gives several. */
export function nameGiven(config: Readonly<JsonObject>, name: string): string | undefined {
  const names = writtenAs(name);
  return names.find((candidate) => isGiven(config[candidate]));
}

function writtenAs(name: string): readonly string[] {
  if (name === "width" || name === "height") return [name, "size", "resolution"];
  return name === "loras" ? [name, ...loraNames] : synonymsOf(name);
}

export const sizeText = /^\s*(\d{1,5})\s*[*xX×]\s*(\d{1,5})\s*$/;

/** `"832*480"` or `"832x480"` as width and height, in this order; undefined for anything else. */
export function parseSize(text: unknown): Size | undefined {
  const match = typeof text === "string" ? sizeText.exec(text) : null;
  return match ? { width: Number(match[1]), height: Number(match[2]) } : undefined;
}

/** `config` under canonical names, as a new object: synonyms resolved, `size` or `resolution` as width and height. */
export function canonicalConfig(config: JsonObject): JsonObject {
  const result = { ...config };
  for (const names of parameterSynonyms) resolveNames(result, names);
  resolveSize(result);
  return gatherLoras(result);
}

/** The names under which `config` gives LoRA files, beside `loras` itself. */
export const loraNames = ["activated_loras", "loras_multipliers", "additional_loras"] as const;

/** All names that stand for a parameter in some job type, or are read as one before a schema is. */
export const parameterNames: readonly string[] = [
  ...parameterSynonyms.flat(),
  ...["width", "height", "size", "resolution", "reference_image_url", "loras"],
  ...loraNames,
];

/** With all LoRA files under `loras`, where the schema reads what they say. */
function gatherLoras(config: JsonObject): JsonObject {
  const given = loraNames.filter((name) => isGiven(config[name]));
  if (given.length === 0) return config;
  const parts = Object.fromEntries(given.map((name) => [name, config[name]]));
  const rest = Object.fromEntries(Object.entries(config).filter(([name]) => !(name in parts)));
  return { ...rest, loras: isGiven(config.loras) ? { ...parts, loras: config.loras } : parts };
}

function resolveNames(config: JsonObject, names: readonly [string, ...string[]]): void {
  const winner = names.find((name) => isGiven(config[name]));
  const value = winner === undefined ? undefined : config[winner];
  for (const name of names) {
    if (name === winner || !isGiven(config[name]) || isSame(config[name], value)) delete config[name];
  }
  if (winner !== undefined) config[names[0]] = value;
}

/**
 * Width and height come together: both as numbers, or from `size`, or from `resolution`. A lone width or height is
 * completed only by a size that agrees with it: 512 next to "1024*768" stays alone and is refused, never mixed.
 */
function resolveSize(config: JsonObject): void {
  const named = parseSize(config.size) ?? parseSize(config.resolution);
  if (named && (!isGiven(config.width) || !isGiven(config.height))) {
    const agrees = agreesWith(config.width, named.width) && agreesWith(config.height, named.height);
    if (agrees) Object.assign(config, named);
  }
  for (const key of ["size", "resolution"]) {
    const size = parseSize(config[key]);
    const isRepeated = size && isSame(config.width, size.width) && isSame(config.height, size.height);
    if (!isGiven(config[key]) || isRepeated) delete config[key];
  }
}

function agreesWith(given: unknown, value: number): boolean {
  return !isGiven(given) || isSame(given, value);
}

function isSame(left: unknown, right: unknown): boolean {
  return Object.is(left, right) || (isScalar(left) && isScalar(right) && String(left) === String(right));
}

function isScalar(value: unknown): value is string | number {
  return typeof value === "string" || typeof value === "number";
}

/**
 * A job whose `config` is under canonical names and whose reference picture, given at top level, in `config` or in
 * `metadata`, is in `metadata.reference_image_url` (metadata wins over config, config over the top level). What is not
 * an object is returned as it is: the schema says what is wrong with it.
 */
export function canonicalJob(job: unknown): unknown {
  if (!isJsonObject(job)) return job;
  const result = { ...job };
  if (isJsonObject(job.config)) result.config = canonicalConfig(job.config);
  const config = isJsonObject(result.config) ? result.config : {};
  const metadata = isJsonObject(job.metadata) ? { ...job.metadata } : {};
  const url = [metadata, config, result].map((place) => place.reference_image_url).find(isReference);
  for (const place of [config, result]) {
    if (!isReference(place.reference_image_url) || place.reference_image_url === url) delete place.reference_image_url;
  }
  if (url === undefined || (isGiven(job.metadata) && !isJsonObject(job.metadata))) return result;
  return { ...result, metadata: { ...metadata, reference_image_url: url } };
}

/** An empty string is what producers send for "no reference", so it does not hide a reference given elsewhere. */
export function isReference(value: unknown): boolean {
  return isGiven(value) && value !== "";
}
