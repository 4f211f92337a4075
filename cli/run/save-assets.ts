import { copyFile, link, mkdtemp, rm, rmdir, stat } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import process from "node:process";
import { z } from "zod";
import { type CallbackAsset, callbackAsset } from "#contract/callback.ts";
import { CodedError } from "#contract/errors.ts";
import { bucketOf, type Job } from "#contract/job.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import type { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";

/** A file in --out, as it is printed with --json. */
export interface SavedAsset {
  readonly file: string;
  readonly thumbnail: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly seed: number | null;
}

export interface AssetsToSave {
  readonly store: LocalAssetStore;
  readonly job: Job;
  readonly assets: readonly unknown[];
  /** Absolute. */
  readonly out: string;
}

/**
 * Copies the assets of a finished job to `out` as `<prompt>-<seed>.<ext>`, thumbnails as `<prompt>-<seed>.thumb.<ext>`.
 * A name that is taken gets a number: nothing is overwritten, also when two runs save at the same moment.
 *
 * @throws CodedError DATA_FOLDER_UNUSABLE, DISK_FULL
 */
export async function saveAssets({ store, job, assets, out }: AssetsToSave): Promise<SavedAsset[]> {
  const parsed = z.array(callbackAsset).parse(assets);
  const bucket = bucketOf(job);
  try {
    await makeFolder(out);
    const saved: SavedAsset[] = [];
    for (const asset of parsed) saved.push(await saveAsset(asset, (path) => store.locate(bucket, path), job, out));
    return saved;
  } catch (cause) {
    throw outError(out, cause);
  }
}

/** Before a job runs for minutes: can its files be kept? @throws CodedError DATA_FOLDER_UNUSABLE, DISK_FULL */
export async function checkOutFolder(out: string): Promise<void> {
  const existing = await nearestExisting(out);
  try {
    // Permission bits mean little to root and on read-only disks; making something is the test.
    await rmdir(await mkdtemp(join(existing, ".ourvidz-")));
  } catch (cause) {
    throw outError(out, cause);
  }
}

async function nearestExisting(path: string): Promise<string> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  return exists || dirname(path) === path ? path : nearestExisting(dirname(path));
}

function outError(out: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || !("code" in cause) || cause instanceof CodedError) return cause;
  if (cause.code === "ENOSPC" || cause.code === "EDQUOT") {
    return new CodedError("DISK_FULL", `The disk of ${out} is full: free some space, or use another --out.`, { cause });
  }
  return new CodedError(
    "DATA_FOLDER_UNUSABLE",
    `--out: nothing can be written to ${out} (${String(cause.code)}): make it writable or name another folder.`,
    { cause },
  );
}

async function saveAsset(
  asset: CallbackAsset,
  locate: (path: string) => string,
  job: Job,
  out: string,
): Promise<SavedAsset> {
  const { seed = null, width = null, height = null } = measures.parse(asset.metadata ?? {});
  const base = `${slug(job.prompt ?? "") || job.type}-${seed ?? job.id.slice(0, 8)}`;
  const file = await copyUnderFreeName(locate(asset.url), out, base, extname(asset.url));
  if (!asset.thumbnail_url) return { file, thumbnail: null, width, height, seed };
  const name = file.slice(out.length + 1, file.length - extname(file).length);
  const extension = `.thumb${extname(asset.thumbnail_url)}`;
  const thumbnail = await copyUnderFreeName(locate(asset.thumbnail_url), out, name, extension);
  return { file, thumbnail, width, height, seed };
}

const measure = z.number().optional().catch(undefined);
const measures = z.object({ seed: measure, width: measure, height: measure });

const maxSlugBytes = 48;

/** A prompt as a file name: `A lighthouse, at dawn!` is `a-lighthouse-at-dawn`. Letters of any script stay. */
export function slug(text: string): string {
  const words =
    text
      .normalize("NFKC")
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  let result = "";
  for (const word of words) {
    const longer = result === "" ? word : `${result}-${word}`;
    if (Buffer.byteLength(longer) > maxSlugBytes) break;
    result = longer;
  }
  return result;
}

/** The copy appears whole or not at all; of two processes that want one name, the second gets the next number. */
async function copyUnderFreeName(source: string, out: string, base: string, extension: string): Promise<string> {
  const temporary = join(out, `.${base}${extension}.${process.pid}.part`);
  try {
    await copyFile(source, temporary);
    for (let number = 1; ; number++) {
      const target = join(out, `${base}${number === 1 ? "" : `-${number}`}${extension}`);
      const taken = await link(temporary, target).then(
        () => false,
        (error: NodeJS.ErrnoException) => {
          if (error.code === "EEXIST") return true;
          throw error;
        },
      );
      if (!taken) return target;
    }
  } finally {
    await rm(temporary, { force: true });
  }
}
