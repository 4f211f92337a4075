import type { ReferenceHost } from "#pipelines/core/host.ts";
import type { ImageJob, ImageParameters } from "./image-job.ts";
import { imageToImageStrength, type ReferencePlan, referencePlanOf } from "./reference-plan.ts";
import type { SdxlReference, SdxlResult } from "./request.ts";

/** A reference as the pipeline gets it, and what the job said of it. */
export interface JobReference extends SdxlReference {
  readonly plan: ReferencePlan;
}

/**
 * The reference that a job names, fetched and read; undefined for a job that is drawn from its prompt alone.
 * @throws PipelineError INPUT_INVALID or INPUT_TOO_LARGE; what the host's `input` throws
 */
export async function referenceOf(
  job: ImageJob,
  parameters: ImageParameters,
  host: ReferenceHost,
): Promise<JobReference | undefined> {
  const plan = referencePlanOf(job, parameters);
  if (plan === undefined) return undefined;
  const { fetchReference } = await import("./fetch-reference.ts");
  // A strength that nobody chose never fails a model of few steps.
  const takesOneStep = plan.isCopy || plan.strength === undefined;
  return {
    ...(await fetchReference(plan, parameters, host)),
    strength: imageToImageStrength(plan),
    takesOneStep,
    plan,
  };
}

/** What is reported of it. */
export function reportReference(reference: JobReference | undefined, { steps }: SdxlResult): Record<string, unknown> {
  if (reference === undefined) return {};
  const { isCopy, type } = reference.plan;
  return {
    reference_path: "img2img",
    reference_mode: isCopy ? "copy" : "modify",
    reference_type: type,
    steps_run: steps,
  };
}
