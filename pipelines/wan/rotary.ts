import { type Tensor, tensor } from "#pipelines/core/tensor.ts";

/** Cosine and sine for every token, `[1, tokens, 1, headDim]`, each value twice as the transformer's layers read pairs. */
export interface RotaryTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

const theta = 10_000;

/**
 * Rotary position tables of a grid of tokens: a head's width is split between frame, row and column, each with the
 * angles `position / θ^(2i/width)` of its part (Su et al., "RoFormer", 2021, by axis as diffusers' `WanRotaryPosEmbed`
 * does it: computed in float64, kept in float32).
 * @param grid tokens along frames, height and width
 * @param headDim width of one attention head, even
 */
export function rotaryTables(grid: readonly [frames: number, height: number, width: number], headDim: number) {
  const spatial = 2 * Math.floor(headDim / 6);
  const axes = [headDim - 2 * spatial, spatial, spatial].map((width, axis) => axisAngles(width, grid[axis] ?? 0));
  const [frames, height, width] = grid;
  const tokens = frames * height * width;
  const cos = new Float32Array(tokens * headDim);
  const sin = new Float32Array(tokens * headDim);
  let offset = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        for (const [axis, position] of [frame, row, column].entries()) {
          const part = axes[axis];
          if (part === undefined) continue;
          const start = position * part.width;
          cos.set(part.cos.subarray(start, start + part.width), offset);
          sin.set(part.sin.subarray(start, start + part.width), offset);
          offset += part.width;
        }
      }
    }
  }
  const dims = [1, tokens, 1, headDim];
  return { cos: tensor(cos, dims), sin: tensor(sin, dims) } satisfies RotaryTables;
}

/** `[positions, width]` of one axis. */
function axisAngles(width: number, positions: number) {
  const cos = new Float32Array(positions * width);
  const sin = new Float32Array(positions * width);
  for (let position = 0; position < positions; position++) {
    for (let index = 0; index < width; index++) {
      const pair = index - (index % 2);
      const angle = position * (1 / theta ** (pair / width));
      cos[position * width + index] = Math.cos(angle);
      sin[position * width + index] = Math.sin(angle);
    }
  }
  return { width, cos, sin };
}
