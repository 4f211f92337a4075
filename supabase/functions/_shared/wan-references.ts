import type { z } from "zod";
import { looseNumber } from "./decimal.ts";
import { colour, expectedReference, numberFrom, optionalOneOf, optionalReference } from "./fields.ts";
import { optional } from "./job.ts";
import { canonicalJob, isGiven, isJsonObject, isReference, type JsonObject, nameGiven } from "./synonyms.ts";

/**
 * What WAN jobs say of the pictures that a clip is made from: addresses in `config`, else in `metadata`, as older producers
 * send them. Which way they take is up to the model that the job runs on.
 */

/** Among the parameters: how the pictures are brought to the clip's size. */
export const referenceParameters = {
  /** `cover` takes the middle of a picture in the clip's size; `contain` all of it, on a blurred one. */
  reference_fit: optionalOneOf(["cover", "contain"]),
  /** What transparent parts are laid on; white when left out. */
  reference_background: optional(colour),
};

export const referenceConfig = {
  /** What the clip is about. */
  image: optionalReference,
  first_frame: optionalReference,
  last_frame: optionalReference,
};

/** The pictures in `config` that a job type takes; those that it needs have an example. */
export function referenceConfigOf(rule: ReferenceRule) {
  switch (rule) {
    case "picture":
      return { image: referenceConfig.image };
    case "first-frame":
      return { ...referenceConfig, first_frame: expectedReference };
    case "first-last-frame":
      return { ...referenceConfig, first_frame: expectedReference, last_frame: expectedReference };
    case "clip":
      return referenceConfig;
  }
}

export const referenceMetadata = {
  reference_image_url: optionalReference,
  start_reference_url: optionalReference,
  end_reference_url: optionalReference,
  /** How far the pictures are kept to; 0.85 when left out. */
  reference_strength: optional(numberFrom(0, 1)),
};

const defaultStrength = 0.85;

export type ReferenceMode = "single" | "both" | "start" | "end" | "none";

/** One reference picture of a job, and the field that gives it. */
interface Reference {
  readonly path: readonly [place: "config" | "metadata", key: string];
  readonly url: unknown;
}

export interface WanReferences {
  readonly single: Reference | undefined;
  readonly start: Reference | undefined;
  readonly end: Reference | undefined;
}

/** Where each picture may be: the first that is given counts. */
const places = {
  single: [
    ["config", "image"],
    ["metadata", "reference_image_url"],
  ],
  start: [
    ["config", "first_frame"],
    ["metadata", "start_reference_url"],
  ],
  end: [
    ["config", "last_frame"],
    ["metadata", "end_reference_url"],
  ],
} as const satisfies Record<keyof WanReferences, readonly Reference["path"][]>;

type JobParts = { readonly config?: unknown; readonly metadata?: unknown };

/** The reference pictures of a job: those in `config`, and where one is absent its counterpart in `metadata`. */
export function wanReferences(job: JobParts): WanReferences {
  const find = (paths: readonly Reference["path"][]) => givenAt(job, paths)[0];
  return { single: find(places.single), start: find(places.start), end: find(places.end) };
}

function givenAt(job: JobParts, paths: readonly Reference["path"][]): Reference[] {
  return paths
    .map((path): Reference => {
      const place = job[path[0]];
      return { path, url: isJsonObject(place) ? place[path[1]] : undefined };
    })
    .filter(({ url }) => isReference(url));
}

/** What the references condition: a picture alone, first and last frame, one of the two, or nothing. */
export function referenceMode(job: JobParts): ReferenceMode {
  const { single, start, end } = wanReferences(job);
  if (single !== undefined && start === undefined && end === undefined) return "single";
  if (start !== undefined && end !== undefined) return "both";
  if (start !== undefined) return "start";
  return end === undefined ? "none" : "end";
}

/**
 * The guidance of a job with pictures, unless it or its model has one of its own: pictures that count more want a prompt that
 * counts more. At a strength of 0 the clip is the one that is made without.
 */
export function referenceDefaults(job: Readonly<JsonObject>): Readonly<JsonObject> | undefined {
  if (referenceMode(job) === "none") return undefined;
  const given = isJsonObject(job.metadata) ? job.metadata.reference_strength : undefined;
  const strength = typeof given === "number" ? given : defaultStrength;
  return strength === 0 ? undefined : { guidance_scale: Math.round((5 + 4 * strength) * 1e6) / 1e6 };
}

/** Fields of pictures that play no part in this job, as `reference_fit` and `metadata.<name>`. */
export function unusedWanFields(written: Readonly<JsonObject>): string[] {
  const job = canonicalJob(written);
  if (!isJsonObject(job)) return [];
  const config = isJsonObject(written.config) ? written.config : {};
  const metadata = isJsonObject(job.metadata) ? job.metadata : {};
  const named = ({ path: [place, key] }: Reference) => (place === "config" ? key : `metadata.${key}`);
  const mode = referenceMode(job);
  if (mode !== "none") {
    const hidden = mode === "single" ? [] : givenAt(job, places.single);
    // Some producers send one address in both places.
    const overruled = Object.values(places).flatMap((paths) => {
      const [first, ...others] = givenAt(job, paths);
      return others.filter(({ url }) => url !== first?.url);
    });
    return [...new Set([...hidden, ...overruled].map(named))];
  }
  const tuning = Object.keys(referenceParameters).map((name) => nameGiven(config, name));
  const strength = isGiven(metadata.reference_strength) ? ["metadata.reference_strength"] : [];
  return [...tuning.filter((name) => name !== undefined), ...strength];
}

/** Which pictures a job type takes, or needs. */
export type ReferenceRule = "clip" | "picture" | "first-frame" | "first-last-frame";

type Problem = readonly [path: readonly string[], input: unknown, message: string];

const missing = (name: string, message: string): Problem => [["config", name], undefined, message];
const superfluous = ({ path, url }: Reference, message: string): Problem => [path, url, message];

/** What is wrong with the pictures of a job, by the job type's rule. */
const problems: Readonly<Record<ReferenceRule, (job: Readonly<JsonObject>) => readonly Problem[]>> = {
  clip(job) {
    const { start, end } = wanReferences(job);
    const isTooMuch = start !== undefined && end !== undefined && isOneFrame(job);
    return isTooMuch ? [superfluous(end, "must be left out beside a first frame: the job requests one frame")] : [];
  },
  picture(job) {
    const { start, end } = wanReferences(job);
    const rule = "must be left out: a picture has one frame; send the picture that it is made from as config.image";
    return [start, end].flatMap((each) => (each === undefined ? [] : [superfluous(each, rule)]));
  },
  "first-frame"(job) {
    const begins = "clips of this job type begin with a picture";
    const mode = referenceMode(job);
    if (mode === "none") return [missing("first_frame", `must be given, or config.image: ${begins}`)];
    return mode === "end" ? [missing("first_frame", `must be given beside the last frame: ${begins}`)] : [];
  },
  "first-last-frame"(job) {
    const { start, end } = wanReferences(job);
    const rule = "must be given: clips of this job type begin and end with pictures";
    return [
      ...(start === undefined ? [missing("first_frame", rule)] : []),
      ...(end === undefined ? [missing("last_frame", rule)] : []),
    ];
  },
};

function isOneFrame({ config }: Readonly<JsonObject>): boolean {
  return isJsonObject(config) && looseNumber(config.frame_num) === 1;
}

/** Refuses what would be another clip than the one that was requested. */
export function checkReferences(rule: ReferenceRule) {
  return (job: unknown, ctx: z.core.$RefinementCtx): void => {
    if (!isJsonObject(job)) return;
    for (const [path, input, message] of problems[rule](job)) {
      ctx.addIssue({ code: "custom", path: [...path], input, message });
    }
  };
}
