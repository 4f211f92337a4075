import { PipelineError, unsupportedOption } from "#pipelines/core/errors.ts";
import type { ReferenceHost } from "#pipelines/core/host.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { ClipParameters } from "../clip-job.ts";
import { type FolderHost, folderAdvice, modelOfJob } from "../folder-advice.ts";
import { kindsOf } from "../model-tasks.ts";

/** What a job gives for VACE, beside the pictures that all jobs may have: addresses. */
export interface ControlFiles {
  readonly video_guide?: string | undefined;
  /** A video as long as it, or one picture for all frames. */
  readonly video_mask?: string | undefined;
  readonly image_refs?: readonly string[] | undefined;
}

/** The same, here: videos are read as the pipeline takes their frames. */
export interface ClipControl {
  /** Paths. */
  readonly guide: string | undefined;
  readonly mask: string | RgbImage | undefined;
  readonly pictures: readonly RgbImage[];
}

type Host = FolderHost & Pick<ReferenceHost, "input">;

/**
 * Fetches what a job gives for VACE, after a look at what the model's weights are for; undefined for a job that gives nothing.
 * @throws PipelineError UNSUPPORTED_OPTION, INPUT_INVALID, INPUT_TOO_LARGE, MODEL_NOT_FOUND, MODEL_INVALID; what the host's
 *   `input` throws
 */
export async function clipControlOf(
  { video_guide: guide, video_mask: mask, image_refs: references = [] }: ControlFiles,
  parameters: ClipParameters,
  host: Host,
): Promise<ClipControl | undefined> {
  if (guide === undefined && references.length === 0) return undefined;
  await checkModel(guide === undefined ? "pictures of what shall be seen (image_refs)" : "a control video", host);
  return {
    guide: guide && (await host.input(guide)).file,
    mask: mask && (await readMask(mask, parameters, host)),
    pictures: await readPictures(references, parameters, host),
  };
}

async function checkModel(given: string, host: FolderHost): Promise<void> {
  const { name, tasks } = await modelOfJob(host);
  if (tasks.includes("vace")) return;
  const advice = await folderAdvice("vace", host);
  throw unsupportedOption(`the model ${name} ${kindsOf(tasks)}, and the job gives ${given}: ${advice}`);
}

/** A picture, fitted as the video is; of a video, its path. */
async function readMask(url: string, { width, height, reference_fit: fit = "cover" }: ClipParameters, host: Host) {
  const { file, mimeType } = await host.input(url);
  if (!mimeType.startsWith("image/") || mimeType === "image/gif") return file;
  const [{ fitPicture }, { readPicture }] = await Promise.all([
    import("#pipelines/images/fit-picture.ts"),
    import("#pipelines/images/read-picture.ts"),
  ]);
  return fitPicture(await readPicture(file, { what: "mask" }), width, height, fit);
}

/** Of one picture; all of them are in memory until they are encoded, so together they may have no more. */
const maxPixels = 50_000_000;

async function readPictures(
  urls: readonly string[],
  { reference_background: background }: ClipParameters,
  host: Host,
): Promise<RgbImage[]> {
  const { fetchPicture } = await import("#pipelines/references/fetch-picture.ts");
  const pictures: RgbImage[] = [];
  let pixels = 0;
  for (const [index, url] of urls.entries()) {
    const picture = await fetchPicture(url, host, { what: `reference picture ${index + 1}`, background });
    pixels += picture.width * picture.height;
    if (pixels > maxPixels) throw tooManyPixels();
    pictures.push(picture);
  }
  return pictures;
}

function tooManyPixels(): PipelineError {
  return new PipelineError(
    "INPUT_TOO_LARGE",
    `The reference pictures have more than ${maxPixels / 1e6} million pixels together, of which no more are read. Send smaller ones, or fewer.`,
    { permanent: true },
  );
}
