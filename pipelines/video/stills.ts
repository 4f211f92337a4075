import sharp from "sharp";
import type { RgbImage } from "#pipelines/images/rgb.ts";

const posterQuality = 90;

/** A picture beside a video, as WebP. */
export interface Still {
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A frame in full size, to be shown until the video plays. */
export async function encodePoster({ data, width, height }: RgbImage): Promise<Still> {
  const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
    .webp({ quality: posterQuality })
    .toBuffer();
  return { bytes, width, height };
}

const sheetColumns = 4;
const sheetRows = 2;
const cellEdge = 256;
const gap = 4;

/** Eight frames from the first to the last, four in a row; of a shorter video, all. Frames are kept in the sheet's size only. */
export class ContactSheet {
  readonly #wanted: readonly number[];
  readonly #cells: RgbImage[] = [];

  /** @param frames of the whole video */
  constructor(frames: number) {
    const count = Math.min(frames, sheetColumns * sheetRows);
    this.#wanted = Array.from({ length: count }, (_, cell) =>
      Math.round((cell * (frames - 1)) / Math.max(1, count - 1)),
    );
  }

  /** Takes the frame when it is one of those on the sheet; read before this resolves. */
  async add(index: number, { data, width, height }: RgbImage): Promise<void> {
    if (!this.#wanted.includes(index)) return;
    const { data: pixels, info } = await sharp(data, { raw: { width, height, channels: 3 } })
      .resize({ width: cellEdge, height: cellEdge, fit: "inside", withoutEnlargement: true })
      .raw()
      .toBuffer({ resolveWithObject: true });
    this.#cells.push({ data: new Uint8ClampedArray(pixels), width: info.width, height: info.height });
  }

  /** The sheet, on white. */
  async encode(): Promise<Still> {
    const [first] = this.#cells;
    if (first === undefined) throw new RangeError("a contact sheet needs at least one frame");
    const columns = Math.min(sheetColumns, this.#cells.length);
    const rows = Math.ceil(this.#cells.length / columns);
    const step = { x: first.width + gap, y: first.height + gap };
    const size = { width: columns * step.x + gap, height: rows * step.y + gap };
    const pieces = this.#cells.map(({ data, width, height }, cell) => ({
      input: Buffer.from(data),
      raw: { width, height, channels: 3 as const },
      left: gap + (cell % columns) * step.x,
      top: gap + Math.floor(cell / columns) * step.y,
    }));
    const bytes = await sharp({ create: { ...size, channels: 3, background: "white" } })
      .composite(pieces)
      .webp({ quality: posterQuality })
      .toBuffer();
    return { bytes, ...size };
  }
}
