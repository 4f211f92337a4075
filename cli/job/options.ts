import { type Command, InvalidArgumentError, Option } from "commander";
import { isExact, parseExactJson } from "#contract/json.ts";
import { isJsonObject, type JsonObject, parseSize, type Size } from "#contract/synonyms.ts";
import { sourceDefinitions } from "#runtime/sources/index.ts";
import type { QueueChoice } from "../queue.ts";
import type { GlobalOptions } from "../settings.ts";

/** The options by which `run` and `enqueue` describe a job. */
export interface JobOptions {
  readonly seed?: number;
  readonly steps?: number;
  readonly images?: number;
  readonly guidance?: number;
  readonly size?: Size;
  readonly negative?: string;
  readonly model?: string;
  /** Addresses, or files of this machine. */
  readonly reference?: string;
  readonly mask?: string;
  readonly strength?: number;
  readonly referenceStrength?: number;
  /** `name=address` or `name=@file`. */
  readonly input?: readonly string[];
  readonly config?: JsonObject;
  readonly metadata?: JsonObject;
  readonly user?: string;
  readonly priority?: number;
}

export interface ShowJobOptions extends GlobalOptions, QueueChoice {
  readonly follow?: boolean;
  /** True: of the newest attempt. */
  readonly log?: number | true;
}

/** What `ourvidz jobs --limit` takes. */
export const maxListedJobs = 1000;

/** Adds an option for each queue that a command can mean instead of the one in the data folder: `--<source>`. */
export function addSourceOptions(command: Command): void {
  const elsewhere = sourceDefinitions.filter(({ needs }) => needs.length > 0);
  for (const { name, description } of elsewhere) {
    const others = elsewhere.map((other) => other.name).filter((other) => other !== name);
    command.addOption(new Option(`--${name}`, description).implies({ source: name }).conflicts(others));
  }
}

/** Adds the options that describe a job. Ranges are the job type's matter; here only what is no number, size or JSON at all is refused. */
export function addJobOptions(command: Command): Command {
  return command
    .option("--seed <n>", "same seed, same picture (0 is a seed)", numberOption)
    .option("--steps <n>", "inference steps", numberOption)
    .option("--images <n>", "how many images", numberOption)
    .option("--guidance <n>", "guidance scale", numberOption)
    .option("--size <WxH>", "width and height in pixels", sizeOption)
    .option("--negative <text>", "negative prompt")
    .option("--reference <file>", "picture to begin with, or a file of this machine")
    .option("--mask <file>", "picture that is white where the reference is drawn anew, or a file")
    .option(
      "--input <name=@file>",
      "a file for any field that takes one; may be repeated",
      (text, all: string[] = []) => [...all, text],
    )
    .option("--strength <n>", "of pictures: how much of the reference is changed, 0 to 1", numberOption)
    .option("--reference-strength <n>", "how much the reference counts, 0 to 1, in clips too", numberOption)
    .option("--model <name>", "model folder instead of the job type's own")
    .option("--config <json>", "more of the job's config, as a JSON object", jsonOption)
    .option("--metadata <json>", "the job's metadata, as a JSON object", jsonOption);
}

/** "25", "-1", "7.5" and "1e3" as numbers. Number() alone would also take "", "0x10" and " 7", and round what is too large. */
export function numberOption(text: string): number {
  if (!/^-?\d+(?:\.\d+)?(?:e[+-]?\d{1,4})?$/i.test(text)) throw new InvalidArgumentError("It must be a number.");
  const value = Number(text);
  if (!isExact(text, value)) throw new InvalidArgumentError("It is too large to be kept exactly: at most 2^53.");
  return value;
}

function sizeOption(text: string): Size {
  const size = parseSize(text);
  if (size === undefined) throw new InvalidArgumentError("It must be WIDTHxHEIGHT, for example 1024x768.");
  return size;
}

function jsonOption(text: string): JsonObject {
  let value: unknown;
  try {
    value = parseExactJson(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidArgumentError(`It must be JSON, for example '{"scheduler":"euler"}' (${reason}).`);
  }
  if (!isJsonObject(value)) throw new InvalidArgumentError(`It must be a JSON object, for example '{"seed":42}'.`);
  return value;
}
