import sharp from "sharp";
import { resizePicture } from "./resample.ts";
import type { RgbImage } from "./rgb.ts";

/** `cover`: the middle of the picture fills the size. `contain`: all of it is there, on a blurred one that fills the size. */
export type PictureFit = "cover" | "contain";

/** Share of the shorter edge that the background of `contain` is blurred over. */
const blurShare = 1 / 20;

/**
 * Brings a picture to a size without distorting it. `cover` is what diffusers' `VaeImageProcessor` does with
 * `resize_mode="crop"`, to the bit: Pillow's Lanczos to the smallest size that covers, then the middle of it.
 */
export async function fitPicture(image: RgbImage, width: number, height: number, fit: PictureFit): Promise<RgbImage> {
  if (image.width === width && image.height === height) return image;
  const cover = coverPicture(image, width, height);
  return fit === "cover" ? cover : paste(containPicture(image, width, height), await blurred(cover));
}

function coverPicture(image: RgbImage, width: number, height: number): RgbImage {
  const isWider = width / height > image.width / image.height;
  const coveringWidth = isWider ? width : Math.floor((image.width * height) / image.height);
  const coveringHeight = isWider ? Math.floor((image.height * width) / image.width) : height;
  const [resizedWidth, resizedHeight] = [Math.max(coveringWidth, width), Math.max(coveringHeight, height)];
  // Of a narrow picture next to nothing is in the middle: the covering size may be thousands of times what is kept.
  return resizePicture(image, resizedWidth, resizedHeight, "lanczos", {
    left: middle(resizedWidth, width),
    top: middle(resizedHeight, height),
    width,
    height,
  });
}

function containPicture(image: RgbImage, width: number, height: number): RgbImage {
  const isWider = width / height > image.width / image.height;
  const fittingWidth = isWider ? Math.floor((image.width * height) / image.height) : width;
  const fittingHeight = isWider ? height : Math.floor((image.height * width) / image.width);
  return resizePicture(image, Math.max(fittingWidth, 1), Math.max(fittingHeight, 1), "lanczos");
}

/** Where the middle `length` of `whole` begins, as diffusers rounds it. */
function middle(whole: number, length: number): number {
  return Math.floor(whole / 2) - Math.floor(length / 2);
}

/** Puts a picture into the middle of one that is at least as large, which is changed. */
function paste(image: RgbImage, onto: RgbImage): RgbImage {
  const [left, top] = [middle(onto.width, image.width), middle(onto.height, image.height)];
  for (let row = 0; row < image.height; row++) {
    const start = row * image.width * 3;
    onto.data.set(image.data.subarray(start, start + image.width * 3), ((top + row) * onto.width + left) * 3);
  }
  return onto;
}

async function blurred({ data, width, height }: RgbImage): Promise<RgbImage> {
  const sigma = Math.max(1, Math.min(width, height) * blurShare);
  const soft = await sharp(data, { raw: { width, height, channels: 3 } })
    .blur(sigma)
    .raw()
    .toBuffer();
  return { data: new Uint8ClampedArray(soft), width, height };
}
