import { statfs } from "node:fs/promises";
import { join } from "node:path";
import PQueue from "p-queue";
import { CodedError } from "#contract/errors.ts";
import { inspectModel } from "#runtime/check/models/inspect-model.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { syncFolder } from "#runtime/lib/durable-files.ts";
import { chooseFiles, furtherWeights, indexOf } from "./choose-files.ts";
import { deviceHere, type TargetDevice } from "./choose-precision.ts";
import { bytesHere, downloadFile, storageError } from "./download-file.ts";
import { HubClient, type HubFile } from "./hub-client.ts";
import type { HubLimits, HubSettings } from "./hub-settings.ts";
import {
  makeModelsFolder,
  type PullFolders,
  pulledBefore,
  pullFolders,
  putInPlace,
  removeDownloads,
  removeEmptyFolders,
  removeOtherFiles,
} from "./pull-folders.ts";
import { type PullHolder, PullLock, type PullLockTimes } from "./pull-lock.ts";
import { type PulledRecord, writeRecord } from "./pulled-record.ts";
import { isCommit, type WantedModel } from "./repository.ts";

export interface PullPlan {
  readonly commit: string;
  /** Of a language model. */
  readonly precision?: string;
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
  readonly totalBytes: number;
  /** Of earlier pulls that were broken off. */
  readonly hereBytes: number;
  readonly freeBytes: number;
}

export interface PullProgress {
  readonly hereBytes: number;
  readonly totalBytes: number;
}

/** What somebody may want to see while it goes on. */
export interface PullWatcher {
  /** Another process fetches the same model; it is waited for. */
  onWait?(holder: PullHolder): void;
  /** What will be fetched, before it is. */
  onPlan?(plan: PullPlan): void;
  onProgress?(progress: PullProgress): void;
  /** Before the finished files are looked at as a whole. */
  onCheck?(): void;
}

export interface PullOptions extends PullWatcher {
  readonly hub: HubSettings;
  readonly modelsFolder: string;
  readonly wanted: WantedModel;
  /** `missing`: any commit of the repository that is there will do; `current`: it must be that of the revision. */
  readonly need: "missing" | "current";
  /** Whether another commit may be put in the place of the one that is there. */
  readonly replace: boolean;
  /** That a language model is to run on, when no precision is wanted; by default the one here. */
  readonly device?: TargetDevice | undefined;
  /** For weights, where an operator has set it. */
  readonly modelMemoryBytes?: number | undefined;
  readonly signal: AbortSignal;
  readonly limits?: HubLimits;
  readonly lockTimes?: PullLockTimes;
}

export interface PulledModel {
  readonly record: PulledRecord;
  readonly folder: string;
  /** Whether anything was fetched. */
  readonly isNew: boolean;
}

const concurrentFiles = 4;
/** So that a disk is not filled to its last block. */
const spareBytes = 64 * 2 ** 20;

/**
 * Fetches a model into the models folder under its name. What is broken off, by a signal or a lost machine, is gone on with
 * by the next call; a model appears under its name when all of it is there, true to the listed digests, and would load.
 *
 * @throws CodedError INVALID_REQUEST (another model has the name, or another commit is there), MODEL_NOT_FOUND, HUB_REFUSED,
 *   HUB_UNREACHABLE, MODEL_INVALID, DISK_FULL; the signal's reason
 */
export async function pullModel(options: PullOptions): Promise<PulledModel> {
  const { modelsFolder, wanted, signal } = options;
  const folders = pullFolders(modelsFolder, wanted.name);
  const before = await pulledBefore(folders, wanted);
  if (before !== null && isEnough(before, options)) return { record: before, folder: folders.model, isNew: false };
  await makeModelsFolder(modelsFolder);
  const { onWait, lockTimes } = options;
  const waiting = { signal, ...(onWait && { onWait }), ...(lockTimes && { times: lockTimes }) };
  const lock = await PullLock.acquire(folders.lock, waiting).catch((error: unknown) => {
    throw storageError(error, folders.lock);
  });
  try {
    const held = { ...options, signal: AbortSignal.any([signal, lock.lost]) };
    const pulled = await pullLocked(held, folders, lock);
    await removeDownloads(modelsFolder, wanted.name);
    return pulled;
  } catch (error) {
    if (lock.lost.aborted && !signal.aborted)
      throw new CodedError(
        "NOT_READY",
        `${wanted.name} is fetched by another process now: run it again to see how far it is.`,
      );
    throw storageError(error, modelsFolder);
  } finally {
    await lock.release();
    await removeEmptyFolders(modelsFolder, wanted.name);
  }
}

/** Whether what is there is what is wanted, without a question to the hub. */
function isEnough(record: PulledRecord, { need, wanted }: PullOptions): boolean {
  if (!isInPrecision(record, wanted)) return false;
  return need === "missing" || (isCommit(wanted.revision) && wanted.revision === record.commit);
}

function isInPrecision(record: PulledRecord, { precision }: WantedModel): boolean {
  return precision === undefined || record.precision === precision;
}

async function pullLocked(options: PullOptions, folders: PullFolders, lock: PullLock): Promise<PulledModel> {
  const { hub, wanted, modelsFolder, signal, limits, replace } = options;
  // Whoever was waited for may have brought it.
  const before = await pulledBefore(folders, wanted);
  if (before !== null && isEnough(before, options)) return { record: before, folder: folders.model, isNew: false };
  const client = await HubClient.open(hub, wanted, limits);
  const commit = await client.commit(signal);
  if (before?.commit === commit && isInPrecision(before, wanted))
    return { record: before, folder: folders.model, isNew: false };
  if (before !== null && !replace) throw otherCommit(wanted, before, commit);
  await removeDownloads(modelsFolder, wanted.name, commit);
  const record = await fetchAll({ ...options, client, commit, folder: folders.download(commit), lock });
  await putInPlace(folders, modelsFolder, commit);
  return { record, folder: folders.model, isNew: true };
}

function otherCommit(
  { name, repo, revision, precision }: WantedModel,
  before: PulledRecord,
  commit: string,
): CodedError {
  const what =
    before.commit === commit
      ? `"${name}" is ${repo} in ${before.precision ?? "one precision only"}, and ${precision} is wanted`
      : `"${name}" is ${repo} at ${before.commit.slice(0, 12)}, and ${revision} is at ${commit.slice(0, 12)} now`;
  return new CodedError("INVALID_REQUEST", `${what}: put that in its place with --replace, or beside it with --as.`);
}

interface Fetch extends PullOptions {
  readonly client: HubClient;
  readonly commit: string;
  readonly folder: string;
  readonly lock: PullLock;
}

async function fetchAll(fetch: Fetch): Promise<PulledRecord> {
  const { client, commit, folder, wanted, signal } = fetch;
  const files = await client.files(commit, signal);
  await makeFolder(folder);
  const index = indexOf(files, wanted);
  const digests = new Map([[index.path, await fetchOne(fetch, index, () => undefined)]]);
  const { files: chosen, ...facts } = await chooseFiles(files, folder, {
    ...wanted,
    device: () => Promise.resolve(fetch.device ?? deviceHere(fetch.modelMemoryBytes)),
  });
  await fetchFiles(fetch, chosen, digests, facts);
  const further = await furtherWeights(chosen, files, folder);
  if (further.length > 0) await fetchFiles(fetch, [...chosen, ...further], digests, facts);
  fetch.onCheck?.();
  await removeOtherFiles(folder, new Set(digests.keys()));
  await checkStructure(folder, wanted);
  const record: PulledRecord = {
    repo: wanted.repo,
    revision: wanted.revision,
    commit,
    ...facts,
    pulled_at: new Date().toISOString(),
    files: [...chosen, ...further].map(({ path, sizeBytes }) => ({
      path,
      size_bytes: sizeBytes,
      sha256: digests.get(path) ?? "",
    })),
  };
  await writeRecord(folder, record);
  await syncFolder(folder);
  return record;
}

/** Fetches what is not here yet, several files at once; the first failure ends the others. Adds to `digests`. */
async function fetchFiles(
  fetch: Fetch,
  files: readonly HubFile[],
  digests: Map<string, string>,
  facts: Pick<PullPlan, "precision">,
): Promise<void> {
  const { commit, folder, lock, onPlan, onProgress, signal } = fetch;
  const here = new Map<string, number>();
  for (const { path, sizeBytes } of files) here.set(path, Math.min(sizeBytes, await bytesHere(join(folder, path))));
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const sum = () => [...here.values()].reduce((total, count) => total + count, 0);
  const freeBytes = await freeIn(folder);
  onPlan?.({ commit, ...facts, files: [...files], totalBytes, hereBytes: sum(), freeBytes });
  checkRoom(totalBytes - sum(), freeBytes, folder);

  const failed = new AbortController();
  const queue = new PQueue({ concurrency: concurrentFiles });
  const shared = { ...fetch, signal: AbortSignal.any([signal, failed.signal]) };
  const tasks = largestFirst(files).map((file) =>
    queue.add(async () => {
      const onBytes = (count: number) => {
        here.set(file.path, count);
        lock.progress(sum(), totalBytes);
        onProgress?.({ hereBytes: sum(), totalBytes });
      };
      digests.set(file.path, await fetchOne(shared, file, onBytes));
      onBytes(file.sizeBytes);
    }),
  );
  for (const task of tasks) task.catch((error: unknown) => failed.abort(error));
  // All have ended before the first failure is passed on: nothing writes into the folder any more.
  await Promise.allSettled(tasks);
  signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
}

/** What takes longest is begun first. */
function largestFirst(files: readonly HubFile[]): HubFile[] {
  return [...files].sort((a, b) => b.sizeBytes - a.sizeBytes);
}

/** The SHA-256 of a file that is here, or is fetched now. */
async function fetchOne(fetch: Fetch, file: HubFile, onBytes: (here: number) => void): Promise<string> {
  const { client, commit, folder, signal } = fetch;
  return downloadFile({ client, file, commit, target: join(folder, file.path), signal, onBytes });
}

async function freeIn(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** @throws CodedError DISK_FULL */
function checkRoom(neededBytes: number, freeBytes: number, folder: string): void {
  if (neededBytes + spareBytes <= freeBytes || neededBytes === 0) return;
  throw new CodedError(
    "DISK_FULL",
    `${bytes(neededBytes)} are to be fetched into ${folder}, where ${bytes(freeBytes)} are free: free some space, or set MODELS_DIR to a folder on another disk.`,
  );
}

/** @throws CodedError MODEL_INVALID when the files do not make a model that loads */
async function checkStructure(folder: string, { repo }: WantedModel): Promise<void> {
  const { problems } = await inspectModel(folder);
  if (problems.length === 0) return;
  throw new CodedError("MODEL_INVALID", `${repo} came as it is, and is no model that loads: ${problems.join("; ")}.`);
}
