import type { FidelityArea } from "#pipelines/testing/fidelity.ts";
import { type VaceCase, VaceModels, vaceCases, vaceDifference } from "./vace-cases.ts";

/** Of the control's latents, which hardly differ from picture to picture with random weights, and of its mask. */
export const controlLimit = 1e-5;
/** Of predictions and latents. */
export const stepLimit = 1e-4;

export const vaceFidelity: FidelityArea = {
  title: "Clips with VACE",
  difference:
    "Largest difference of any value of predictions and latents, at every step. The control (latents and mask) is within 1e-5, and of the frames' 8-bit values at most one in 1,000 is off, by one.",
  cases: vaceCases.map((each) => ({
    setting: settingOf(each),
    reference: "diffusers' `WanVACEPipeline`",
    limit: stepLimit,
    measure: async () => {
      const models = new VaceModels();
      const { steps } = await vaceDifference(models, each);
      await models.dispose();
      return steps;
    },
  })),
};

function settingOf({ model, width, height, frames, video, mask, known, references, scale }: VaceCase): string {
  const parts = [
    { vace: undefined, "vace-2": "two transformers", "vace-other": "a VAE of scale 4" }[model],
    video > 0 ? `control video of ${counted(video, "frame")}` : undefined,
    mask === null ? undefined : `mask (${mask})`,
    known.length > 0 ? "first and last frame known" : undefined,
    references.length > 0 ? counted(references.length, "reference picture") : undefined,
    video + known.length + references.length === 0 ? "no control" : undefined,
    Array.isArray(scale) ? `scales ${scale.join(" and ")}` : scale === 1 ? undefined : `scale ${scale}`,
    `${counted(frames, "frame")} of ${width} × ${height}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}

function counted(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}
