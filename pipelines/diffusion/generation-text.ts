import type { GenerationTexts } from "#pipelines/images/encode.ts";
import type { SamplerNames } from "#pipelines/schedulers/sampler-names.ts";

/** How a picture was made, for its metadata. */
export interface PictureOrigin {
  readonly prompt: string;
  readonly negative_prompt?: string | undefined;
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly scheduler: string;
  readonly model: string;
}

/**
 * The texts of a picture: `parameters` in the form that the AUTOMATIC1111 web UI made common (so that other tools
 * read it), and `ourvidz` with all values as JSON.
 * @param more what only this family has, by the label that the web UI uses; undefined is left out
 */
export function generationTexts(
  origin: PictureOrigin,
  { sampler, scheduleType }: SamplerNames,
  more: Readonly<Record<string, number | undefined>>,
): GenerationTexts {
  const settings = {
    Steps: origin.num_inference_steps,
    Sampler: sampler,
    "Schedule type": scheduleType,
    "CFG scale": origin.guidance_scale,
    Seed: origin.seed,
    Size: `${origin.width}x${origin.height}`,
    Model: origin.model,
    ...more,
  };
  const lines = [
    origin.prompt,
    ...(origin.negative_prompt ? [`Negative prompt: ${origin.negative_prompt}`] : []),
    Object.entries(settings)
      .flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
      .join(", "),
  ];
  return { parameters: lines.join("\n"), ourvidz: JSON.stringify(origin) };
}
