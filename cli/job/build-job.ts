import { randomUUID } from "node:crypto";
import { checkJob, knownFields } from "#contract/check-job.ts";
import { CodedError } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { inputFieldsOf } from "#contract/input-fields.ts";
import { type FieldProblem, type Job, jobEnvelope } from "#contract/job.ts";
import { currentJobType } from "#contract/job-types.ts";
import { describeProblems, parseWith, unknownJobType } from "#contract/problems.ts";
import { reservedProblems } from "#contract/reserved-metadata.ts";
import type { JsonObject } from "#contract/synonyms.ts";
import { type UnreadFields, unreadFields } from "#contract/unread-fields.ts";
import { handlersInvalid, type Registry } from "#runtime/job-types/registry.ts";
import { usageError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";
import {
  asLocalFile,
  asTyped,
  type LocalFile,
  localFilesOf,
  withAddresses,
  withFileNames,
  withInputs,
} from "./local-inputs.ts";
import type { JobOptions } from "./options.ts";

export interface PlannedJob {
  readonly job: Job;
  readonly handler: Handler;
  readonly unread: UnreadFields;
}

/** A job as the command line describes it, of a type that is known, not checked yet. */
export interface DescribedJob {
  readonly handler: Handler;
  readonly fields: JsonObject;
  /** Files of this machine that it names. */
  readonly files: readonly LocalFile[];
}

/**
 * @param operands the job type, then the words of the prompt
 * @throws CodedError UNKNOWN_JOB_TYPE, HANDLER_INVALID (its handler's file is broken), INVALID_REQUEST for a file that cannot be read
 */
export async function describeJob(
  registry: Registry,
  operands: readonly string[],
  options: JobOptions,
): Promise<DescribedJob> {
  const [given = "", ...words] = operands;
  const type = currentJobType(given);
  const handler = registry.get(type);
  const broken = registry.problems.filter((problem) => problem.type === type);
  if (handler === undefined && broken.length > 0) throw handlersInvalid(broken);
  if (handler === undefined) throw unknownType(given, registry.types);
  const { mask, reference, metadata, input = [] } = options;
  if (mask !== undefined && reference === undefined && metadata === undefined && input.length === 0)
    throw usageError(`--mask is ${mask}: give the picture that it is a mask of as --reference.`);
  checkStrength(handler, options);
  const places = inputFieldsOf(handler);
  const fields = withInputs(describedJob(type, words, options), input, places);
  return { handler, fields, files: await localFilesOf(fields, places, options) };
}

/** Clips are held to their pictures by the opposite of what changes a picture: whoever takes one for the other gets no error. */
function checkStrength(handler: Handler, { strength }: JobOptions): void {
  if (strength === undefined) return;
  const { config, metadata } = knownFields(handler.input);
  const isRead = config.has("denoise_strength") || Object.hasOwn(handler.parameters?.shape ?? {}, "denoise_strength");
  if (isRead || !metadata.has("reference_strength")) return;
  throw usageError(
    `--strength is ${strength}: jobs of type ${handler.type} have --reference-strength, which is 1 where nothing of the reference is changed.`,
  );
}

/**
 * The described job, checked as the runtime will check it, so that bad input is reported before anything starts.
 *
 * @param addresses what its files of this machine are reached by
 * @throws CodedError INVALID_JOB naming every bad field by its option
 */
export function planJob(
  { handler, fields }: DescribedJob,
  addresses: ReadonlyMap<string, string>,
  options: JobOptions,
): PlannedJob {
  const { type } = handler;
  const job = withAddresses(fields, inputFieldsOf(handler), addresses);
  const request = { id: randomUUID(), created_at: new Date().toISOString(), ...job };
  const names = asTyped(addresses, options);
  const named = ({ value, ...problem }: FieldProblem): FieldProblem => ({
    ...problem,
    ...(value === undefined ? {} : { value: typeof value === "string" ? withFileNames(value, names) : value }),
  });
  const envelope = parseWith(jobEnvelope, request);
  if (!envelope.ok) throw invalidJob(envelope.problems.map(named), options, type);
  const parsed = checkJob(handler, envelope.value);
  const problems = [...(parsed.ok ? [] : parsed.problems), ...reservedProblems(envelope.value)];
  if (problems.length > 0) throw invalidJob(problems.map(named), options, type);
  return { job: envelope.value, handler, unread: unreadFields(handler, request) };
}

/** The job as the command line gives it, not checked. */
export function describedJob(type: string, words: readonly string[], options: JobOptions) {
  return {
    type,
    ...withoutUndefined({
      prompt: words.length === 0 ? undefined : words.join(" "),
      negative_prompt: options.negative,
      user_id: options.user,
      priority: options.priority,
      model_variant: options.model,
    }),
    config: { ...options.config, ...configOf(options) },
    metadata: {
      ...options.metadata,
      ...withoutUndefined({
        reference_image_url: asLocalFile(options.reference),
        reference_strength: options.referenceStrength,
      }),
    },
  };
}

function configOf(options: JobOptions): JsonObject {
  return withoutUndefined({
    seed: options.seed,
    num_inference_steps: options.steps,
    guidance_scale: options.guidance,
    num_images: options.images,
    width: options.size?.width,
    height: options.size?.height,
    mask_image_url: asLocalFile(options.mask),
    denoise_strength: options.strength,
  });
}

function withoutUndefined(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined));
}

function unknownType(type: string, known: readonly string[]): CodedError {
  if (known.length === 0) {
    return new CodedError("UNKNOWN_JOB_TYPE", `Job type "${type}" is unknown: the handlers folder has no handlers.`);
  }
  const { message, details } = unknownJobType(type, known);
  return new CodedError("UNKNOWN_JOB_TYPE", `${message}. ${didYouMean(type, known)}`.trim(), { details });
}

/** Which option gave a field, so that a message names what the person has typed. */
const optionOf: Readonly<Record<string, { readonly name: keyof JobOptions; readonly label: string }>> = {
  "config.seed": { name: "seed", label: "--seed" },
  "config.num_inference_steps": { name: "steps", label: "--steps" },
  "config.guidance_scale": { name: "guidance", label: "--guidance" },
  "config.num_images": { name: "images", label: "--images" },
  "config.width": { name: "size", label: "--size (width)" },
  "config.height": { name: "size", label: "--size (height)" },
  "config.denoise_strength": { name: "strength", label: "--strength" },
  "config.mask_image_url": { name: "mask", label: "--mask" },
  "metadata.reference_strength": { name: "referenceStrength", label: "--reference-strength" },
  "metadata.reference_image_url": { name: "reference", label: "--reference" },
  negative_prompt: { name: "negative", label: "--negative" },
  model_variant: { name: "model", label: "--model" },
  user_id: { name: "user", label: "--user" },
  priority: { name: "priority", label: "--priority" },
};

function invalidJob(problems: readonly FieldProblem[], options: JobOptions, type: string): CodedError {
  const named = problems.map((problem) => {
    const option = optionOf[problem.field];
    if (option !== undefined && options[option.name] !== undefined) return { ...problem, field: option.label };
    if (problem.field !== "prompt" || problem.value !== undefined) return problem;
    return { ...problem, message: `give it after the job type, for example ${type} "a red apple"` };
  });
  return new CodedError("INVALID_JOB", `The job is invalid: ${describeProblems(named)}.`, { details: problems });
}
