import { access, constants, stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { InputPlace } from "#contract/input-fields.ts";
import { isJsonObject, type JsonObject } from "#contract/synonyms.ts";
import { usageError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";
import type { JobOptions } from "./options.ts";

/*
 * Files of this machine in a job: `@picture.png` in a field that takes an address, which `--input name=@picture.png` puts there,
 * and a path given as --reference or --mask. The job gets an address in its place, which each command makes in its own way.
 */
export interface LocalFile {
  /** As it stands in the job: `@picture.png`. */
  readonly text: string;
  /** Absolute. */
  readonly file: string;
}

/** An address has a scheme; one letter is the drive of a Windows path. */
const isAddress = (text: string) => /^[a-z][a-z0-9+.-]+:/i.test(text);

/** `--reference picture.png` as a field of the job has it. */
export function asLocalFile(text: string | undefined): string | undefined {
  return text === undefined || text.startsWith("@") || isAddress(text) ? text : `@${text}`;
}

/**
 * The job with what `--input` says: a list where it names a field several times.
 * @throws CodedError INVALID_REQUEST for a field that takes no file
 */
export function withInputs(job: JsonObject, inputs: readonly string[], places: readonly InputPlace[]): JsonObject {
  const named = new Set<InputPlace>();
  return inputs.reduce((changed, input) => {
    const [, name = "", value = ""] = /^([^=]+)=(.+)$/s.exec(input) ?? [];
    if (name === "") throw usageError(`--input is ${input}: it must be a field and a file, such as mask=@mask.png.`);
    const place = placeOf(name, places);
    const isFurther = place.takes === "weights" || named.has(place);
    named.add(place);
    return setIn(changed, place.path, (present) => (isFurther ? [...listOf(present), value] : value));
  }, job);
}

function placeOf(name: string, places: readonly InputPlace[]): InputPlace {
  const found = places.find(({ path }) => namesOf(path).includes(name));
  if (found !== undefined) return found;
  const known = places.map(({ path }) => path.at(-1) ?? "");
  if (known.length === 0) throw usageError(`--input names ${name}: jobs of this type take no files.`);
  throw usageError(
    `--input names ${name}, which takes no file; those that do: ${known.join(", ")}. ${didYouMean(name, known)}`.trim(),
  );
}

/** `metadata.reference_image_url`, `reference_image_url`, `reference_image` and `reference`. */
function namesOf(path: readonly string[]): readonly string[] {
  const last = path.at(-1) ?? "";
  return [path.join("."), last, last.replace(/_url$/, ""), last.replace(/(?:_image)?_url$/, "")];
}

/** The files of this machine that the job names. @throws CodedError INVALID_REQUEST for one that cannot be read */
export async function localFilesOf(
  job: JsonObject,
  places: readonly InputPlace[],
  options: Pick<JobOptions, "reference" | "mask">,
): Promise<LocalFile[]> {
  const found: LocalFile[] = [];
  for (const { path } of places) {
    for (const text of textsAt(job, path)) {
      if (!text.startsWith("@") || found.some((one) => one.text === text)) continue;
      const file = resolve(text.slice(1));
      await checkReadable(file, text, labelOf(path, text, options));
      found.push({ text, file });
    }
  }
  return found;
}

/** The job with an address for each of these files. */
export function withAddresses(
  job: JsonObject,
  places: readonly InputPlace[],
  addresses: ReadonlyMap<string, string>,
): JsonObject {
  if (addresses.size === 0) return job;
  const replace = (value: unknown): unknown => {
    if (typeof value === "string") return addresses.get(value) ?? value;
    if (Array.isArray(value)) return value.map(replace);
    if (!isJsonObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, replace(child)]));
  };
  return places.reduce(
    (changed, { path }) => (valueAt(changed, path) === undefined ? changed : setIn(changed, path, replace)),
    job,
  );
}

/** These addresses by what was typed: `--reference picture.png` has no mark. */
export function asTyped(
  addresses: ReadonlyMap<string, string>,
  { reference, mask }: Pick<JobOptions, "reference" | "mask">,
): ReadonlyMap<string, string> {
  const typed = (name: string) => [reference, mask].find((given) => asLocalFile(given) === name) ?? name;
  return new Map([...addresses].map(([name, address]) => [typed(name), address]));
}

/** A text for people, with what they have typed for the addresses that stand in its place. */
export function withFileNames(text: string, addresses: ReadonlyMap<string, string>): string {
  return [...addresses].reduce((shown, [name, address]) => {
    const whole = shown.replaceAll(address, name);
    // Of `http://127.0.0.1:1234/0/picture.png` all but the file is its own, and messages cut what is long.
    const [own] = /^http:\/\/[\d.:]+\/\d+\//.exec(address) ?? [];
    return own === undefined
      ? whole
      : whole.replaceAll(new RegExp(`${own.replaceAll(".", "\\.")}[^\\s"]*…`, "g"), name);
  }, text);
}

function labelOf(path: readonly string[], text: string, { reference, mask }: Pick<JobOptions, "reference" | "mask">) {
  const options = { "metadata.reference_image_url": reference, "config.mask_image_url": mask };
  const option = Object.entries(options).find(
    ([field, given]) => field === path.join(".") && asLocalFile(given) === text,
  );
  if (option === undefined) return { name: path.join("."), given: text };
  return { name: option[0].startsWith("metadata") ? "--reference" : "--mask", given: option[1] ?? text };
}

async function checkReadable(file: string, text: string, label: { name: string; given: string }): Promise<void> {
  const isFolder = await access(file, constants.R_OK).then(
    async () => (await stat(file)).isDirectory(),
    () => {
      const isMarked = label.given === text;
      throw usageError(
        `${label.name} is ${label.given}: there is no such file${isMarked ? "" : ", and it is no address"}.`,
      );
    },
  );
  if (isFolder) throw usageError(`${label.name} is ${label.given}: that is a folder. Name a file in it.`);
}

/** A text, or the texts of a list, by themselves or as the path of an object. */
function textsAt(job: JsonObject, path: readonly string[]): string[] {
  return listOf(valueAt(job, path)).flatMap((entry) => {
    const values = isJsonObject(entry) ? Object.values(entry) : [entry];
    return values.filter((value) => typeof value === "string");
  });
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function valueAt(job: JsonObject, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, name) => (isJsonObject(value) ? value[name] : undefined), job);
}

function setIn(
  job: JsonObject,
  [name = "", ...rest]: readonly string[],
  change: (present: unknown) => unknown,
): JsonObject {
  const present = job[name];
  if (rest.length === 0) return { ...job, [name]: change(present) };
  return { ...job, [name]: setIn(isJsonObject(present) ? present : {}, rest, change) };
}
