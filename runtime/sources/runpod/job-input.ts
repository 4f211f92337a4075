import { knownFields } from "#contract/check-job.ts";
import { decodeProduced, jobFieldNames, maxJobCharacters } from "#contract/decode.ts";
import { CodedError, type ErrorReport, toErrorReport } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { type Job, jobEnvelope, safeId } from "#contract/job.ts";
import { currentJobType } from "#contract/job-types.ts";
import { excessOf, jobLimits } from "#contract/json-limits.ts";
import { invalidJob, shortened } from "#contract/problems.ts";
import { isGiven, isJsonObject, type JsonObject } from "#contract/synonyms.ts";
import { refuseDependencies } from "../job-source.ts";

/*
 * A job from the `input` of a request: our own envelope, or the fields of a job side by side, as RunPod's clients write them
 * (`{prompt, steps, width}`). There, what is no field of a job is a parameter.
 */
export type KnownHandler = Pick<Handler, "worker" | "input" | "parameters">;

export interface InputOptions {
  /** The type of a job that names none. */
  readonly defaultType: string | undefined;
  handlerOf(type: string): KnownHandler | undefined;
}

export interface ReadInput {
  readonly job: Job;
  /** Why it must not be run: then `job` lacks what is wrong. */
  readonly rejection?: ErrorReport;
}

/**
 * Never throws, whatever the input.
 * @param id RunPod's; a job that has one of its own keeps that
 */
export function readInput(id: string, input: unknown, options: InputOptions): ReadInput {
  const ownId = safeId.safeParse(id).success ? id : `runpod-${Buffer.from(id).toString("hex").slice(0, 100)}`;
  if (input !== undefined && !isJsonObject(input))
    return rejected(ownId, invalid(`its input is ${JSON.stringify(shortened(input))}: must be an object`));
  const excess = excessIn(input ?? {});
  if (excess !== null) return rejected(ownId, excess);
  const given: JsonObject = { ...input };
  if (!["id", "job_id", "jobId"].some((name) => isGiven(given[name]))) given.id = ownId;
  const typed = ["type", "job_type", "jobType"].find((name) => isGiven(given[name]));
  if (typed === undefined && options.defaultType === undefined) {
    return rejected(
      ownId,
      invalid(
        'its input names no type: give "type" in it, or set RUNPOD_JOB_TYPE (at an endpoint of the container\'s own, ' +
          "RUNPOD_ENDPOINT_TYPES or an endpoint that is named like the type will do too)",
      ),
    );
  }
  if (typed === undefined) given.type = options.defaultType;
  const type = given[typed ?? "type"];
  const handler = typeof type === "string" ? options.handlerOf(currentJobType(type)) : undefined;
  const decoded = decodeProduced(withParameters(given, handler));
  if (decoded.ok) return independent(decoded.job);
  const problem = decoded.rejected ? toErrorReport(invalidJob(decoded.rejected.problems)) : invalid(decoded.reason);
  return decoded.rejected ? { job: decoded.rejected.job, rejection: problem } : rejected(ownId, problem);
}

/** Fields that no job has and its handler does not name are parameters: in `config`, as every other producer writes them. */
function withParameters(given: JsonObject, handler: KnownHandler | undefined): JsonObject {
  if (handler === undefined || (isGiven(given.config) && !isJsonObject(given.config))) return given;
  const ofHandler = knownFields(handler.input).job;
  const isOfJob = (name: string) =>
    Object.hasOwn(jobEnvelope.shape, name) || jobFieldNames.has(name) || (ofHandler?.has(name) ?? false);
  const isParameter = (name: string) =>
    handler.parameters === undefined ? !isOfJob(name) : Object.hasOwn(handler.parameters.shape, name) || !isOfJob(name);
  const moved = Object.entries(given).filter(([name]) => isParameter(name));
  if (moved.length === 0) return given;
  const kept = Object.fromEntries(Object.entries(given).filter(([name]) => !isParameter(name)));
  return { ...kept, config: { ...Object.fromEntries(moved), ...(isJsonObject(given.config) ? given.config : {}) } };
}

/** Of the jobs that it names nothing is known here: it would run before them. */
function independent(job: Job): ReadInput {
  try {
    refuseDependencies(job);
    return { job };
  } catch (error) {
    return { job, rejection: toErrorReport(error) };
  }
}

function rejected(id: string, rejection: ErrorReport): ReadInput {
  return { job: jobEnvelope.parse({ id, type: "rejected" }), rejection };
}

/** Why it is too much to be read; null when it is not. */
function excessIn(input: JsonObject): ErrorReport | null {
  const text = jsonOf(input);
  if (text !== null && text.length > maxJobCharacters) return tooLarge(text.length);
  const tooDeep = `is nested deeper than ${jobLimits.levels} levels`;
  const what = text === null ? tooDeep : excessOf(text, jobLimits)?.message;
  return what === undefined ? null : invalid(`its input ${what}`);
}

/** Null for what is so deep that it cannot be written: lists in lists, by the thousand. */
function jsonOf(input: JsonObject): string | null {
  try {
    return JSON.stringify(input);
  } catch {
    return null;
  }
}

function tooLarge(length: number): ErrorReport {
  const [has, allowed] = [length, maxJobCharacters].map((count) => count.toLocaleString("en-US"));
  const message = `The input has ${has} characters, and at most ${allowed} are read: upload files, and send their addresses.`;
  return toErrorReport(new CodedError("BODY_TOO_LARGE", message));
}

function invalid(what: string): ErrorReport {
  return toErrorReport(new CodedError("INVALID_JOB", `The job is wrong: ${what}.`));
}
