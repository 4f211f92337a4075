/** How a picture was made, for its PNG metadata. */
export interface Generation {
  readonly prompt: string;
  readonly negative_prompt: string | undefined;
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly guidance_rescale: number | undefined;
  readonly clip_skip: number | undefined;
  readonly scheduler: string;
  readonly model: string;
}

/**
 * The PNG texts of a picture: `parameters` in the form that the AUTOMATIC1111 web UI made common (so that other tools
 * read it), and `ourvidz` with the same values as JSON.
 */
export function generationTexts(generation: Generation): Record<string, string> {
  const settings = {
    Steps: generation.num_inference_steps,
    Sampler: generation.scheduler,
    "CFG scale": generation.guidance_scale,
    Seed: generation.seed,
    Size: `${generation.width}x${generation.height}`,
    Model: generation.model,
    // The web UI counts from the last layer, where diffusers' 0 is the one before it.
    ...(generation.clip_skip === undefined ? {} : { "Clip skip": generation.clip_skip + 2 }),
    ...(generation.guidance_rescale === undefined ? {} : { "CFG rescale": generation.guidance_rescale }),
  };
  const lines = [
    generation.prompt,
    ...(generation.negative_prompt ? [`Negative prompt: ${generation.negative_prompt}`] : []),
    Object.entries(settings)
      .map(([name, value]) => `${name}: ${value}`)
      .join(", "),
  ];
  return { parameters: lines.join("\n"), ourvidz: JSON.stringify(generation) };
}
