import type { ReferenceHost } from "#pipelines/core/host.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { FetchedReference } from "./fetch-reference.ts";
import type { ImageJob, ImageParameters } from "./image-job.ts";
import { type ReferencePlan, type ReferenceWay, referencePlanOf } from "./reference-plan.ts";
import type { SdxlResult } from "./request.ts";

/** A reference, and what the job said of it. */
export interface JobReference extends FetchedReference {
  readonly plan: ReferencePlan;
}

/** The pictures that a job names, fetched and read. */
export interface JobPictures {
  readonly reference: JobReference | undefined;
  /** Of the job's size. */
  readonly control: RgbImage | undefined;
  /** As it is. */
  readonly imagePrompt: RgbImage | undefined;
}

/**
 * Fetches and reads what a job is drawn by beside its prompt.
 * @throws PipelineError INPUT_INVALID or INPUT_TOO_LARGE; what the host's `input` throws
 */
export async function picturesOf(
  job: ImageJob,
  parameters: ImageParameters,
  host: Pick<ReferenceHost, "input">,
): Promise<JobPictures> {
  const plan = referencePlanOf(job, parameters);
  const { control_image_url: controlUrl, ip_adapter_image_url: imageUrl } = job.config ?? {};
  if (plan === undefined && controlUrl === undefined && imageUrl === undefined) {
    return { reference: undefined, control: undefined, imagePrompt: undefined };
  }
  const [{ fetchReference }, { fetchFitted, fetchPicture }] = await Promise.all([
    import("./fetch-reference.ts"),
    import("#pipelines/references/fetch-picture.ts"),
  ]);
  // Transparent parts of lines on nothing are the nothing.
  const lines = { background: "black", what: "control picture" };
  const beside = { background: parameters.reference_background, what: "picture beside the prompt" };
  return {
    reference: plan && { ...(await fetchReference(plan, parameters, host)), plan },
    control: controlUrl === undefined ? undefined : await fetchFitted(controlUrl, parameters, host, lines),
    imagePrompt: imageUrl === undefined ? undefined : await fetchPicture(imageUrl, host, beside),
  };
}

/** What is reported of a reference. */
export function reportReference(
  reference: JobReference | undefined,
  way: ReferenceWay | undefined,
  { steps }: SdxlResult,
): Record<string, unknown> {
  if (reference === undefined) return {};
  const { isCopy, type } = reference.plan;
  return {
    reference_path: way,
    reference_mode: isCopy ? "copy" : "modify",
    reference_type: type,
    steps_run: steps,
  };
}
