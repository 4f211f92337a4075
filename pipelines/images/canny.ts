import type { RgbImage } from "./rgb.ts";

/** Of the gradient's magnitude, |dx| + |dy|: an edge begins above the second, and goes on above the first. */
const thresholds = { low: 100, high: 200 } as const;

/** tan 22.5° in fixed point. */
const tangentShift = 15;
const tangent = Math.trunc(0.41421356237309503 * 2 ** tangentShift + 0.5);

/** What a pixel may be: no edge, part of an edge if one leads to it, an edge. */
const none = 1;
const possible = 0;
const edge = 2;

/** Gradients by pixel, of the channel where they are steepest. */
interface Gradients {
  readonly dx: Int16Array;
  readonly dy: Int16Array;
  readonly magnitude: Int32Array;
}

/**
 * Edges as white lines on black, as `cv2.Canny(image, 100, 200)` finds them in a picture with three channels, to the bit: Sobel's
 * gradients, thinned to their ridges, followed from strong to weak (J. Canny, "A Computational Approach to Edge Detection",
 * 1986; fixed-point directions as in OpenCV's `canny.cpp`). That is what ControlNets for edges were trained with.
 */
export function cannyEdges(image: RgbImage): RgbImage {
  const { width, height } = image;
  const marks = followed(thinned(gradientsOf(image), width, height), width);
  const data = new Uint8ClampedArray(3 * width * height);
  for (let row = 0, pixel = 0; row < height; row++) {
    for (let column = 0; column < width; column++, pixel++) {
      if (marks[(row + 1) * (width + 2) + column + 1] === edge) data.fill(255, 3 * pixel, 3 * pixel + 3);
    }
  }
  return { data, width, height };
}

function gradientsOf({ data, width, height }: RgbImage): Gradients {
  const count = width * height;
  const [dx, dy, magnitude] = [new Int16Array(count), new Int16Array(count), new Int32Array(count)];
  for (let row = 0, pixel = 0; row < height; row++) {
    const [above, below] = [Math.max(row - 1, 0) * width, Math.min(row + 1, height - 1) * width];
    for (let column = 0; column < width; column++, pixel++) {
      const [left, right] = [Math.max(column - 1, 0), Math.min(column + 1, width - 1)];
      let steepest = -1;
      for (let channel = 0; channel < 3; channel++) {
        const at = (line: number, place: number) => data[(line + place) * 3 + channel] ?? 0;
        const [topLeft, topRight] = [at(above, left), at(above, right)];
        const [bottomLeft, bottomRight] = [at(below, left), at(below, right)];
        const middle = row * width;
        const x = topRight - topLeft + 2 * (at(middle, right) - at(middle, left)) + bottomRight - bottomLeft;
        const y = bottomLeft - topLeft + 2 * (at(below, column) - at(above, column)) + bottomRight - topRight;
        const steepness = Math.abs(x) + Math.abs(y);
        if (steepness <= steepest) continue;
        steepest = steepness;
        [dx[pixel], dy[pixel], magnitude[pixel]] = [x, y, steepness];
      }
    }
  }
  return { dx, dy, magnitude };
}

/** Marks by pixel, with a border of one pixel that is no edge: of every ridge only its crest is left. */
function thinned({ dx, dy, magnitude }: Gradients, width: number, height: number): Uint8Array {
  const marks = new Uint8Array((width + 2) * (height + 2)).fill(none);
  const at = (row: number, column: number) =>
    row < 0 || row >= height || column < 0 || column >= width ? 0 : (magnitude[row * width + column] ?? 0);
  for (let row = 0, pixel = 0; row < height; row++) {
    for (let column = 0; column < width; column++, pixel++) {
      const here = magnitude[pixel] ?? 0;
      if (here <= thresholds.low) continue;
      if (!isCrest(here, dx[pixel] ?? 0, dy[pixel] ?? 0, (down, right) => at(row + down, column + right))) continue;
      marks[(row + 1) * (width + 2) + column + 1] = here > thresholds.high ? edge : possible;
    }
  }
  return marks;
}

/** Whether the magnitude is larger than those on both sides, in the gradient's direction: one of four. */
function isCrest(here: number, dx: number, dy: number, beside: (down: number, right: number) => number): boolean {
  const x = Math.abs(dx);
  const y = Math.abs(dy) * 2 ** tangentShift;
  const flat = x * tangent;
  if (y < flat) return here > beside(0, -1) && here >= beside(0, 1);
  if (y > flat + x * 2 ** (tangentShift + 1)) return here > beside(-1, 0) && here >= beside(1, 0);
  const slant = (dx ^ dy) < 0 ? -1 : 1;
  return here > beside(-1, -slant) && here > beside(1, slant);
}

/** From every edge on, the possible ones that touch it are edges too. */
function followed(marks: Uint8Array, width: number): Uint8Array {
  const line = width + 2;
  const around = [-line - 1, -line, -line + 1, -1, 1, line - 1, line, line + 1];
  const open: number[] = [];
  for (let index = 0; index < marks.length; index++) if (marks[index] === edge) open.push(index);
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    for (const offset of around) {
      if (marks[index + offset] !== possible) continue;
      marks[index + offset] = edge;
      open.push(index + offset);
    }
  }
  return marks;
}
