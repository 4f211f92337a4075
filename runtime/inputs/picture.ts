import { PermanentError } from "#contract/errors.ts";

/** More than any camera's picture; below what would fill an executor's memory when it is decoded. */
export const maxPixels = 50_000_000;

/** How many times the shorter side the longer one may be. Of a narrower picture no model could use anything. */
const maxSideRatio = 20;

/**
 * @param picture how messages begin: `The picture of config.image`
 * @throws PermanentError INPUT_TOO_LARGE, INPUT_INVALID
 */
export function checkPictureSize(picture: string, width: number, height: number): void {
  const has = `${picture} has ${width} × ${height} pixels`;
  if (width * height > maxPixels)
    throw new PermanentError(`${has}; at most ${maxPixels / 1e6} million are read. Send a smaller one.`, {
      code: "INPUT_TOO_LARGE",
    });
  if (Math.max(width, height) > maxSideRatio * Math.min(width, height))
    throw new PermanentError(`${has}. Send one whose longer side is at most ${maxSideRatio} times the other.`, {
      code: "INPUT_INVALID",
    });
}

/**
 * Size of a picture by its header, without decoding it: a small file may claim, and unpack to, any size.
 *
 * @param field of the job that names it, for messages
 * @throws PermanentError INPUT_TOO_LARGE, INPUT_INVALID
 */
export async function pictureSize(file: string, field?: string): Promise<{ width: number; height: number }> {
  // Only executors get here, and only those whose jobs have reference pictures pay for loading it.
  const { default: sharp } = await import("sharp");
  const picture = field === undefined ? "The picture" : `The picture of ${field}`;
  const { width, height } = await sharp(file, { limitInputPixels: false })
    .metadata()
    .catch((cause: unknown) => {
      throw new PermanentError(`${picture} cannot be read: its header is damaged.`, {
        code: "INPUT_INVALID",
        cause,
      });
    });
  checkPictureSize(picture, width, height);
  return { width, height };
}
