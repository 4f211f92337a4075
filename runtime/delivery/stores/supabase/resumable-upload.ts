import { stat } from "node:fs/promises";
import { DetailedError, Upload } from "tus-js-client";
import { RetryableError, retryMeaning } from "#contract/errors.ts";
import { cacheSeconds, partBytes, type StorageClient, type UploadedFile } from "./storage-client.ts";
import { AlreadyThere, FilePart, TusHttpStack, UploadForgotten } from "./tus-http-stack.ts";
import { UploadNote } from "./upload-note.ts";

/*
 * A large file in parts, with the library tus-js-client: a cut costs what of one part had not arrived, for this process
 * and, through the note beside the file, for the next one.
 *
 *            no note ─► create, note ─► part ─► part … ─► stored
 *   note, known there ─► ask for the offset ───┘
 *                              └ all is there: the last answer was lost, or no object was made of the parts
 *                                  ─► ask for the object ─► stored        not there: note goes, from the beginning
 *   note, forgotten there ─► create
 */
/** A cut is mended at once; a service that stays away is the outbox's matter. The library counts anew after each part. */
const defaultCutRetryDelaysMs = [200, 1000, 3000];

export interface ResumableOptions {
  readonly nowMs: () => number;
  readonly cutRetryDelaysMs?: readonly number[];
}

export async function uploadResumable(
  client: StorageClient,
  file: UploadedFile,
  { nowMs, cutRetryDelaysMs = defaultCutRetryDelaysMs }: ResumableOptions,
  signal: AbortSignal,
): Promise<void> {
  const note = new UploadNote(file.file, nowMs);
  const { mtimeMs } = await stat(file.file);
  const fingerprint = `${client.resumableUrl} ${file.bucket}/${file.path} ${file.sizeBytes} ${mtimeMs}`;
  const stack = new TusHttpStack(client, file, signal);
  const isInTheWay = await transfer(client, file, { note, fingerprint, stack, cutRetryDelaysMs, signal })
    .then(
      () => false,
      (error: unknown) => {
        if (error instanceof AlreadyThere) return true;
        throw error;
      },
    )
    .finally(() => note.close());
  if (stack.isFinished) return;
  const storedBytes = await client.sizeOf(file, signal);
  if (storedBytes === file.sizeBytes) return;
  await note.removeUpload();
  if (isInTheWay) await client.remove(file, signal);
  throw new RetryableError(
    `The storage has ${storedBytes ?? "no"} bytes of ${file.path} instead of ${file.sizeBytes}: it is sent again.`,
    { code: "STORAGE_UNREACHABLE" },
  );
}

interface Transfer {
  readonly note: UploadNote;
  readonly fingerprint: string;
  readonly stack: TusHttpStack;
  readonly cutRetryDelaysMs: readonly number[];
  readonly signal: AbortSignal;
}

async function transfer(client: StorageClient, file: UploadedFile, options: Transfer): Promise<void> {
  const { note, fingerprint, stack, cutRetryDelaysMs, signal } = options;
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // The library gives the first argument to the reader below and looks at nothing in it.
  const upload = new Upload(Buffer.from(file.file), {
    endpoint: client.resumableUrl,
    chunkSize: partBytes,
    headers: { "x-upsert": "true" },
    metadata: {
      bucketName: file.bucket,
      objectName: file.path,
      contentType: file.mimeType,
      cacheControl: String(cacheSeconds),
    },
    // The address is known, and being noted, before the first byte is sent.
    uploadDataDuringCreation: false,
    urlStorage: note,
    fingerprint: async () => fingerprint,
    storeFingerprintForResuming: true,
    removeFingerprintOnSuccess: false,
    fileReader: { openFile: async () => reader(file) },
    httpStack: stack,
    retryDelays: [...cutRetryDelaysMs],
    onShouldRetry: (error) => !signal.aborted && isWorthAnotherTry(causeOf(error)),
    onError: (error) => reject(causeOf(error)),
    onSuccess: () => resolve(),
  });
  const abort = () => {
    void upload.abort();
    reject(signal.reason);
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    const [previous] = await upload.findPreviousUploads();
    if (previous) upload.resumeFromPreviousUpload(previous);
    upload.start();
    await promise;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function reader({ file, sizeBytes }: UploadedFile) {
  return {
    size: sizeBytes,
    slice: async (start: number, end: number) => ({
      value: new FilePart(file, start, Math.min(end, sizeBytes)),
      done: end >= sizeBytes,
    }),
    close: () => undefined,
  };
}

/** The library wraps what its HTTP stack rejects with. */
function causeOf(error: unknown): unknown {
  return error instanceof DetailedError ? (error.causingError ?? error) : error;
}

/** Without waiting longer than it takes to mend a cut: who asks for more time gets it from the outbox. */
function isWorthAnotherTry(error: unknown): boolean {
  if (error instanceof AlreadyThere) return false;
  return error instanceof UploadForgotten || (error instanceof RetryableError && retryMeaning(error) === "backoff");
}
