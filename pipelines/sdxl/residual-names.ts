/* How a UNet's inputs for the residuals of a ControlNet are called, after the arguments of diffusers' class, and their outputs. */

const downInput = "down_block_additional_residual_";
export const midInput = "mid_block_additional_residual";

/** Of a UNet's inputs those for residuals, each with the ControlNet's output for it; empty for a UNet that takes none. */
export function residualNames(inputs: Iterable<string>): Map<string, string> {
  const names = [...inputs].filter((name) => name.startsWith(downInput) || name === midInput);
  return new Map(
    names.map((name) => [
      name,
      name === midInput ? "mid_block_res_sample" : `down_block_res_sample_${name.slice(downInput.length)}`,
    ]),
  );
}
