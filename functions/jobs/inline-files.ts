import { randomUUID } from "node:crypto";
import { bucketOf } from "#contract/job.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { JobView } from "../api/schemas/job-view.ts";
import { HttpError } from "../errors.ts";
import { inlinePlaces } from "./inline-places.ts";

/** Of the files of one answer together, which are in memory as long as it is sent. */
export const maxInlineBytes = 8 * 1024 * 1024;
/** Encoded in one turn of the event loop; a multiple of 3, so that base64 of the pieces is that of the whole. */
const pieceBytes = 192 * 1024;

interface AnswerWithFiles {
  /** With its files in it. */
  readonly job: JobView;
  readonly headers?: Readonly<Record<string, string>>;
  /** Beside the fields of the job. */
  readonly more?: object;
}

/**
 * Answers with the job and its files in base64; null for one that is not there any more. The answer is written as its reader
 * takes it.
 * @throws HttpError RESULT_TOO_LARGE, STORAGE_UNREACHABLE, OVERLOADED; the signal's reason
 */
export async function respondWithFiles(
  { job, headers = {}, more = {} }: AnswerWithFiles,
  { store }: Pick<Runtime, "store">,
  signal: AbortSignal,
): Promise<Response> {
  const announced = job.assets.reduce((sum, { size_bytes = 0 }) => sum + size_bytes, 0);
  if (announced > maxInlineBytes) throw tooLarge(job.job_id, announced);
  const leave = await inlinePlaces(store).take(signal);
  try {
    const files = await readFiles(job, announced, store, signal);
    const answer = writtenWith(files, (texts) => ({
      ...job,
      assets: job.assets.map((asset, index) => ({ ...asset, base64: texts[index] ?? null })),
      ...more,
    }));
    return new Response(streamOf(answer, leave), { headers: { ...headers, "Content-Type": "application/json" } });
  } catch (error) {
    leave();
    throw error;
  }
}

type Files = readonly (Uint8Array | null)[];

async function readFiles(job: JobView, announced: number, store: Runtime["store"], signal: AbortSignal) {
  const given = job.fields.bucket;
  const bucket = bucketOf({ type: job.type, bucket: typeof given === "string" ? given : undefined });
  const files: (Uint8Array | null)[] = [];
  let left = maxInlineBytes;
  for (const { path } of job.assets) {
    const bytes = await store.read(bucket, path, left, signal);
    if (bytes === "too large") throw tooLarge(job.job_id, announced);
    left -= bytes?.byteLength ?? 0;
    files.push(bytes);
  }
  return files;
}

/**
 * The JSON of a value, piece by piece.
 * @param fill gets a text for each file that is there, in whose place its base64 is written
 */
function* writtenWith(files: Files, fill: (texts: readonly (string | null)[]) => object): Generator<string> {
  // Nothing that anybody has written is one of these.
  const places = files.map((file) => (file === null ? null : randomUUID()));
  let rest = JSON.stringify(fill(places));
  for (const [index, file] of files.entries()) {
    const place = places[index];
    if (file === null || !place) continue;
    const start = rest.indexOf(place);
    yield rest.slice(0, start);
    for (let at = 0; at < file.byteLength; at += pieceBytes)
      yield Buffer.from(file.subarray(at, at + pieceBytes)).toString("base64");
    rest = rest.slice(start + place.length);
  }
  yield rest;
}

/** @param end is called when all is written, or the reader has gone */
function streamOf(pieces: Iterator<string>, end: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      pull(controller) {
        const { done, value } = pieces.next();
        if (done !== true) {
          controller.enqueue(Buffer.from(value));
          return;
        }
        controller.close();
        end();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

function tooLarge(jobId: string, bytes: number): HttpError {
  const message =
    `The files of job ${jobId} have ${bytes} bytes: an answer holds at most ${maxInlineBytes} of them. ` +
    `Ask without inline, and fetch them at their addresses.`;
  return new HttpError("RESULT_TOO_LARGE", message, { details: { job_id: jobId, bytes, max_bytes: maxInlineBytes } });
}
