import type { JobSchema } from "#contract/check-job.ts";
import { CodedError, isErrorCode, PermanentError, toErrorReport } from "#contract/errors.ts";
import { inputAddress, inputHash, isDataAddress, readDataAddress } from "#contract/input-address.ts";
import { inputFieldsOf } from "#contract/input-fields.ts";
import type { FieldProblem, Job } from "#contract/job.ts";
import { invalidJob } from "#contract/problems.ts";
import { kindOf } from "../write-content.ts";
import { type AddressRules, checkAddresses } from "./check-addresses.ts";
import { fieldAt, mapJob, textsOf } from "./job-texts.ts";
import type { Upload } from "./upload-rows.ts";
import type { Uploads } from "./uploads.ts";

/*
 * The files of a job at the door: what is in the job itself is stored, so that its queue's element stays small; what was uploaded
 * is looked for now, and kept while the job waits. For a queue that other containers read, a file of this data folder gets an
 * address under which they reach it.
 */
export interface Admission {
  readonly uploads: Uploads;
  /** The queue that the job goes to, and whether it is in this data folder, as its containers' uploads are. */
  readonly queue: { readonly name: string; readonly isEmbedded: boolean };
  /** Where others reach this container; null when that is not known. */
  readonly publicUrl: string | null;
  readonly rules: AddressRules;
  /** What is to be done where the queue's containers cannot read a file of this data folder. */
  readonly advice?: string;
}

const defaultAdvice =
  "set SUPABASE_URL for a storage that all of them read, or PUBLIC_URL to this container's https address, or give the file's own https address";

/**
 * The job as its queue is to have it.
 * @throws PermanentError INPUT_NOT_FOUND, INPUT_REFUSED, INPUT_TOO_LARGE, INPUT_INVALID, INVALID_JOB, UNSUPPORTED_OPTION naming the
 *   field; CodedError as {@link Uploads.add} throws them
 */
export async function admitInputs(job: Job, schema: JobSchema, admission: Admission): Promise<Job> {
  checkAddresses(job, schema, admission.rules);
  if (!mayNameFiles(job)) return job;
  const stored = await storeData(job, schema, admission.uploads);
  const named = textsOf(stored, []).flatMap(({ path, text }) => {
    const sha256 = inputHash(text);
    return sha256 === null ? [] : [{ path, text, sha256 }];
  });
  const addresses = new Map<string, string>();
  for (const { path, text, sha256 } of named) {
    const upload = findUpload(admission.uploads, { job, field: path.join("."), text, sha256 });
    if (upload === null) continue;
    checkKind(upload, schema, path, text);
    await admission.uploads.use(upload, job.id);
    const address = await reachable(upload, admission);
    if (address !== text) addresses.set(text, address);
  }
  return addresses.size === 0 ? stored : mapJob(stored, (_path, text) => addresses.get(text) ?? text);
}

/** Most jobs name none, and are not copied to find that out. */
function mayNameFiles(job: Job): boolean {
  return textsOf(job, []).some(({ text }) => isDataAddress(text) || inputHash(text) !== null);
}

async function storeData(job: Job, schema: JobSchema, uploads: Uploads): Promise<Job> {
  // Also at the top or in `config`, where older producers have what belongs into `metadata`.
  const names = new Set(inputFieldsOf(schema).map(({ path }) => path.at(-1)));
  const stored = new Map<string, string>();
  for (const { path, text } of textsOf(job, [])) {
    if (!isDataAddress(text) || !names.has(fieldAt(path)) || stored.has(text)) continue;
    stored.set(text, await storeOne(text, { userId: job.user_id, field: path.join(".") }, uploads));
  }
  if (stored.size === 0) return job;
  return mapJob(job, (path, text) => (names.has(fieldAt(path)) ? (stored.get(text) ?? text) : text));
}

async function storeOne(
  text: string,
  { userId, field }: { readonly userId: string; readonly field: string },
  uploads: Uploads,
): Promise<string> {
  try {
    const bytes = readDataAddress(text);
    const signal = AbortSignal.timeout(storeLimitMs);
    const { upload } = await uploads.add({ userId, content: once(bytes), announcedBytes: bytes.byteLength, signal });
    return inputAddress(upload.sha256);
  } catch (error) {
    const { code, message } = toErrorReport(error);
    if (!(error instanceof CodedError) || !isErrorCode(code)) throw error;
    throw new CodedError(code, `${field}: ${message}`, { cause: error, details: [{ field, message }] });
  }
}

const storeLimitMs = 30_000;

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

interface Named {
  readonly job: Job;
  readonly field: string;
  readonly text: string;
  readonly sha256: string;
}

/** Null for one that may have been uploaded to another container of the app, which is seen when the job runs. */
function findUpload(uploads: Uploads, { job, field, text, sha256 }: Named): Upload | null {
  const upload = uploads.find(job.user_id, sha256);
  if (upload !== null || uploads.isShared) return upload;
  const message = `must be a file that ${job.user_id} has uploaded here (POST /inputs), and is none, or has expired`;
  throw new PermanentError(`The job is invalid: ${field} is "${text}": ${message}`, {
    code: "INPUT_NOT_FOUND",
    details: [{ field, value: text, message }],
  });
}

/** @throws PermanentError INVALID_JOB */
function checkKind({ mimeType }: Upload, schema: JobSchema, path: readonly string[], text: string): void {
  const place = inputFieldsOf(schema).find((each) => each.path.every((name, index) => path[index] === name));
  if (place === undefined) return;
  const [isPicture, isVideo] = [mimeType.startsWith("image/"), mimeType.startsWith("video/")];
  const isFitting = {
    picture: isPicture,
    // Animated.
    video: isVideo || mimeType === "image/gif",
    "picture or video": isPicture || isVideo,
    weights: kindOf(mimeType) === "weights",
  }[place.takes];
  if (isFitting) return;
  const wanted = {
    picture: "a picture",
    video: "a video",
    "picture or video": "a picture or a video",
    weights: "a LoRA file (safetensors)",
  }[place.takes];
  const problem: FieldProblem = {
    field: path.join("."),
    value: text,
    message: `must be ${wanted}, and is ${mimeType}`,
  };
  throw invalidJob([problem]);
}

/** @throws PermanentError UNSUPPORTED_OPTION for a file that the queue's other containers cannot read */
async function reachable(
  upload: Upload,
  { uploads, queue, publicUrl, advice = defaultAdvice }: Admission,
): Promise<string> {
  const own = inputAddress(upload.sha256);
  if (uploads.isShared || queue.isEmbedded) return own;
  const url = publicUrl?.startsWith("https:") ? await uploads.url(upload, uploads.limits.keepMs / 1000) : null;
  if (url !== null && publicUrl !== null) return new URL(url.replace(/^\//, ""), publicUrl.replace(/\/?$/, "/")).href;
  throw new PermanentError(
    `The file ${own} lies in the data folder of this machine, and containers of other machines run jobs of the queue ${queue.name} too: ${advice}.`,
    { code: "UNSUPPORTED_OPTION" },
  );
}
