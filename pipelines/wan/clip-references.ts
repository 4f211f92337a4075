import { inputInvalid } from "#pipelines/core/errors.ts";
import type { ReferenceHost } from "#pipelines/core/host.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { ClipJob, ClipParameters } from "./clip-job.ts";
import type { WanCondition } from "./condition.ts";
import { type FolderHost, modelOfJob } from "./folder-advice.ts";
import { type ReferencePath, type ReferencePlan, referencePathOf, referencePlanOf } from "./reference-way.ts";
import { checkTask } from "./task.ts";
import { knownFrames } from "./vace/guide.ts";

/** The pictures of a job, read, and the way that they take through its model. */
export interface ClipReferences {
  readonly plan: ReferencePlan;
  readonly path: ReferencePath;
  readonly single?: RgbImage | undefined;
  readonly start?: RgbImage | undefined;
  readonly end?: RgbImage | undefined;
}

type Host = FolderHost & Pick<ReferenceHost, "input">;

/**
 * Fetches and reads what a clip is made from beside its prompt, after a look at what the model's weights are for. Undefined
 * for a job that is made from its prompt alone.
 * @throws PipelineError UNSUPPORTED_OPTION, INVALID_JOB, INPUT_INVALID, INPUT_TOO_LARGE, MODEL_NOT_FOUND, MODEL_INVALID; what
 *   the host's `input` throws
 */
export async function clipReferencesOf(
  job: ClipJob,
  parameters: ClipParameters,
  host: Host,
): Promise<ClipReferences | undefined> {
  const plan = referencePlanOf(job);
  const { task, frame_num: frames = 1 } = parameters;
  if (plan === undefined && task === undefined) return undefined;
  const model = await modelOfJob(host);
  await checkTask(task, model, frames, host);
  if (plan === undefined) return undefined;
  const path = await referencePathOf(plan, model, frames, host);
  const { fetchFitted, fetchPicture } = await import("#pipelines/references/fetch-picture.ts");
  const { single, start, end } = plan;
  const background = parameters.reference_background;
  const fitted = (url: string, what: string) => fetchFitted(url, parameters, host, { what, background });
  // VACE is shown the whole picture, beside the clip's frames.
  const whole = (url: string) => fetchPicture(url, host, { what: singleName, background });
  return {
    ...{ plan, path },
    single: single === undefined ? undefined : await (path === "vace" ? whole(single) : fitted(single, singleName)),
    start: start === undefined ? undefined : await fitted(start, "first frame"),
    end: end === undefined ? undefined : await fitted(end, "last frame"),
  };
}

const singleName = "reference picture";

/**
 * The files of a job's pictures, for a command that reads them itself.
 * @throws PipelineError INPUT_INVALID for what is no picture; what the host's `input` throws
 */
export async function referenceFilesOf(job: ClipJob, host: Pick<ReferenceHost, "input">) {
  const { single, start, end } = referencePlanOf(job) ?? {};
  const fetched = async (url: string | undefined, what: string) => {
    if (url === undefined) return undefined;
    const { file, mimeType } = await host.input(url);
    if (!mimeType.startsWith("image/")) throw inputInvalid(what, `it is ${mimeType}`);
    return file;
  };
  return {
    single: await fetched(single, singleName),
    start: await fetched(start, "first frame"),
    end: await fetched(end, "last frame"),
  };
}

/** @param frames of the clip */
export function conditionOf(references: ClipReferences | undefined, frames: number): WanCondition | undefined {
  if (references === undefined) return undefined;
  const { path, plan, single, start, end } = references;
  switch (path) {
    case "vace":
      return single === undefined
        ? { kind: "vace", ...knownFrames({ first: start, last: end }, frames) }
        : { kind: "vace", references: [single] };
    case "i2v":
    case "flf2v":
      return { kind: "frames", first: start ?? single, last: end };
    case "anchor":
      // A picture is one frame: what shows what it is about is that frame.
      return frames === 1
        ? { kind: "anchor", first: start ?? end ?? single, strength: plan.strength }
        : { kind: "anchor", first: start, last: end, single, strength: plan.strength };
  }
}

/** What is reported of the pictures of a job. */
export function reportReferences(references: ClipReferences | undefined): Record<string, unknown> {
  if (references === undefined) return { reference_mode: "none" };
  const { path, plan } = references;
  return { reference_mode: plan.mode, reference_path: path, reference_strength: plan.strength };
}

/** Fields that count nothing on the way that the pictures take, with their values. */
export function unusedOf(
  references: ClipReferences | undefined,
  job: ClipJob,
  { guidance_scale, reference_fit }: Pick<ClipParameters, "guidance_scale" | "reference_fit">,
): Record<string, unknown> {
  if (references === undefined || references.path === "anchor") return {};
  const { path, plan } = references;
  const byStrength = 5 + 4 * plan.strength;
  const counts = Math.abs(guidance_scale - byStrength) < 1e-6;
  return {
    ...(counts ? {} : { "metadata.reference_strength": job.metadata?.reference_strength }),
    // It is shown as it is.
    ...(path === "vace" && plan.mode === "single" ? { reference_fit } : {}),
  };
}
