import { z } from "zod";
import { inputAddressProblem, inputFieldKey, inputHash } from "./input-address.ts";
import { isGiven, isJsonObject, type JsonObject, loraNames } from "./synonyms.ts";

/**
 * LoRA files of a job, in all the ways in which producers name them, brought into one form: `{source, phases}`. A job
 * gives `loras`, or `activated_loras` with `loras_multipliers`, or `additional_loras`, or several of these: they add up.
 */
export interface LoraChoice {
  /** An https address, or the name of a file in the folder `loras` of the models directory. */
  readonly source: string;
  /** Strengths: one list for each phase, in it one for each of the phase's steps, or one for all. */
  readonly phases: readonly (readonly number[])[];
}

export const maxLoras = 8;
export const maxStrength = 10;
const maxSteps = 150;
const maxMultiplierCharacters = 10_000;
const maxStrengthCharacters = 32;
const maxSourceCharacters = 8192;

/**
 * The multipliers of several LoRA files: white space parts the files, `;` phases, `,` steps of a phase, and `#` begins a
 * line of comment. `"1 0.5;0.8 1,0.5,0"`.
 * @returns null when one is no number from -10 to 10
 */
export function parseMultipliers(text: string): number[][][] | null {
  if (text.length > maxMultiplierCharacters) return null;
  const words = text
    .split(/\r?\n/)
    .filter((line) => !line.trimStart().startsWith("#"))
    .flatMap((line) => line.split(/\s+/))
    .filter((word) => word !== "");
  const files = words.map((word) => word.split(";").map((phase) => phase.split(",").map(toStrength)));
  const all = files.flat(2);
  return all.every((value) => value !== null) && all.length <= maxLoras * maxSteps ? asNumbers(files) : null;
}

function asNumbers(files: readonly (readonly (readonly (number | null)[])[])[]): number[][][] {
  return files.map((phases) => phases.map((steps) => steps.map((value) => value ?? 1)));
}

function toStrength(text: string): number | null {
  if (text.length > maxStrengthCharacters || !/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) return null;
  const value = Number(text);
  return Math.abs(value) <= maxStrength ? value : null;
}

type Read = readonly LoraChoice[] | { readonly problem: string };

const strengthRule = `a number from -${maxStrength} to ${maxStrength}`;

/** `loras` of a job, from any of its forms. */
export const loraChoices = z
  .unknown()
  .transform((given, ctx): readonly LoraChoice[] => {
    const read = readLoras(given);
    if ("problem" in read) {
      ctx.addIssue({ code: "custom", message: read.problem });
      return z.NEVER;
    }
    return read;
  })
  .meta({ description: "LoRA files to draw with: [{ path, scale }]", [inputFieldKey]: "weights" });

/** For pipelines of one phase: each file has one strength. */
export const onePhaseLoras = loraChoices.superRefine((choices, ctx) => {
  if (choices.every(({ phases }) => phases.length === 1 && phases[0]?.length === 1)) return;
  const message =
    'must have one strength for each file, with white space between those of several ("1 0.5"): "," and ";" part strengths that change on the way, which pictures do not have';
  ctx.addIssue({ code: "custom", message });
});

function readLoras(given: unknown): Read {
  if (!isGiven(given) || given === "") return [];
  const isGathered = isJsonObject(given) && loraNames.some((name) => name in given);
  const parts = isGathered ? readGathered(given) : [readList(given)];
  const problem = parts.find((part) => "problem" in part);
  if (problem !== undefined) return problem;
  const choices = parts.flatMap((part) => ("problem" in part ? [] : part));
  if (choices.length > maxLoras) return { problem: `must be at most ${maxLoras} files` };
  const twice = choices.find(({ source }, index) => choices.some((other, at) => at < index && other.source === source));
  return twice === undefined
    ? choices
    : { problem: `must name each file once; "${shownSource(twice.source)}" is there twice` };
}

function readGathered(given: JsonObject): Read[] {
  return [
    readList(given.loras),
    readActivated(given.activated_loras, given.loras_multipliers),
    readAdditional(given.additional_loras),
  ];
}

const listRule = `must be a list of files, each { "path": a name or https address, "scale": ${strengthRule} }`;

function readList(given: unknown): Read {
  if (!isGiven(given) || given === "") return [];
  const entries = Array.isArray(given) ? given : [given];
  const choices: LoraChoice[] = [];
  for (const entry of entries) {
    const choice = readEntry(entry);
    if (choice === null) return { problem: listRule };
    choices.push(choice);
  }
  return choices;
}

function readEntry(entry: unknown): LoraChoice | null {
  if (typeof entry === "string") return isSource(entry) ? { source: entry, phases: [[1]] } : null;
  if (!isJsonObject(entry)) return null;
  const source = [entry.path, entry.source, entry.url, entry.name].find(isGiven);
  const scale = [entry.scale, entry.strength, entry.weight, entry.multiplier].find(isGiven) ?? 1;
  if (!isSource(source)) return null;
  if (isGiven(entry.phases)) {
    const phases = phasesSchema.safeParse(entry.phases);
    return phases.success ? { source, phases: phases.data } : null;
  }
  const phases = readPhases(scale);
  return phases === null ? null : { source, phases };
}

const phasesSchema = z
  .array(z.array(z.number().min(-maxStrength).max(maxStrength)).min(1).max(maxSteps))
  .min(1)
  .max(3);

/** One strength, or the text of one file's multipliers. */
function readPhases(scale: unknown): number[][] | null {
  if (typeof scale === "number") return Math.abs(scale) <= maxStrength ? [[scale]] : null;
  const files = typeof scale === "string" ? parseMultipliers(scale) : null;
  return files?.length === 1 ? (files[0] ?? null) : null;
}

function readActivated(given: unknown, multipliers: unknown): Read {
  const names = typeof given === "string" ? given.split(",", 1000).map((name) => name.trim()) : (given ?? []);
  if (!Array.isArray(names)) return { problem: "must be a list of files (activated_loras)" };
  const sources = names.filter((name) => name !== "").slice(0, maxLoras + 1);
  if (!sources.every(isSource)) return { problem: "must be names or https addresses (activated_loras)" };
  const text = Array.isArray(multipliers) ? multipliers.join(" ") : (multipliers ?? "");
  const files = typeof text === "string" || typeof text === "number" ? parseMultipliers(String(text)) : null;
  if (files === null) {
    return { problem: `must have multipliers such as "1 0.5;0.8", each ${strengthRule} (loras_multipliers)` };
  }
  if (files.length > sources.length) {
    return {
      problem: `must not have more multipliers (${files.length}) than files (${sources.length}) (loras_multipliers)`,
    };
  }
  return sources.map((source, index) => ({ source, phases: files[index] ?? [[1]] }));
}

function readAdditional(given: unknown): Read {
  if (!isGiven(given) || given === "") return [];
  if (!isJsonObject(given)) return { problem: "must be an object of files and their strengths (additional_loras)" };
  const choices: LoraChoice[] = [];
  for (const [source, scale] of Object.entries(given)) {
    const phases = readPhases(scale ?? 1);
    if (!isSource(source) || phases === null) {
      return { problem: `must have a name or https address and ${strengthRule} for each file (additional_loras)` };
    }
    choices.push({ source, phases });
  }
  return choices;
}

/** An address with a user name or password in it is none: they would be shown wherever it is. Nor is one of no server. */
function isSource(value: unknown): value is string {
  if (typeof value !== "string" || value.trim() === "" || value.length > maxSourceCharacters) return false;
  if (value.includes("\0")) return false;
  return !isAddress(value) || (inputAddressProblem(value) === null && !/^[^/?#]*\/\/[^/?#]*@/.test(value));
}

/** Whether a LoRA is named by its address, that of an uploaded file among them, and not by its file. */
export function isAddress(source: string): boolean {
  return /^[a-z][a-z0-9+.-]{0,30}:\/\//i.test(source) || inputHash(source) !== null;
}

/** A source without the query of its address, where tokens are. */
export function shownSource(source: string): string {
  const end = isAddress(source) ? source.search(/[?#]/) : -1;
  return end < 0 ? source : source.slice(0, end);
}
