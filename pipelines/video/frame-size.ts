export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The size that 4:2:0 needs, whose colours are stored for pairs of rows and columns. */
export function evenSize({ width, height }: Size): Size {
  return { width: width + (width % 2), height: height + (height % 2) };
}

/** The frame with its last column and last row once more, where `target` is one larger. */
export function padTo(frame: Uint8Array, { width, height }: Size, target: Size): Uint8Array {
  if (width === target.width && height === target.height) return frame;
  const out = new Uint8Array(target.width * target.height * 3);
  for (let row = 0; row < target.height; row++) {
    const source = Math.min(row, height - 1) * width * 3;
    const start = row * target.width * 3;
    out.set(frame.subarray(source, source + width * 3), start);
    if (target.width > width) out.set(frame.subarray(source + (width - 1) * 3, source + width * 3), start + width * 3);
  }
  return out;
}
