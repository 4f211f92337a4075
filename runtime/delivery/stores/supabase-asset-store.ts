import { stat } from "node:fs/promises";
import { RetryableError } from "#contract/errors.ts";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import type { Logger } from "#runtime/observe/log.ts";
import {
  type AssetStore,
  assertJobPath,
  type FileReader,
  isFileName,
  type JobFolder,
  jobFolderOf,
  type StoredFile,
} from "./asset-store.ts";
import { SignedAddresses } from "./supabase/signed-addresses.ts";
import { partBytes, StorageClient, type UploadedFile } from "./supabase/storage-client.ts";
import { storageUnreachable } from "./supabase/storage-refusal.ts";

/*
 * The app's storage: a file of up to 6 MB goes in one request, a larger one in parts that survive a cut. Both replace what
 * another attempt of the same job left under the path.
 */
export interface SupabaseAssetStoreOptions {
  readonly project: SupabaseConfig;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** Limit of the time in which nothing is sent or received. */
  readonly idleMs?: number;
  /** Pauses before a part that was cut is sent again; the last one over, the caller decides. */
  readonly cutRetryDelaysMs?: readonly number[];
}

const readLimitMs = 60_000;

export class SupabaseAssetStore implements AssetStore, FileReader {
  readonly name = "supabase";
  readonly #options: SupabaseAssetStoreOptions;
  readonly #client: StorageClient;
  readonly #addresses: SignedAddresses;

  constructor(options: SupabaseAssetStoreOptions) {
    const { nowMs } = options;
    this.#options = options;
    this.#client = new StorageClient(options);
    this.#addresses = new SignedAddresses({ sign: this.#client.sign.bind(this.#client), nowMs });
  }

  async put(file: StoredFile, signal: AbortSignal): Promise<void> {
    assertJobPath(file);
    const whole: UploadedFile = { ...file, sizeBytes: (await stat(file.file)).size };
    if (whole.sizeBytes <= partBytes) return this.#uploadWhole(whole, signal);
    // Its library is not loaded by containers that make no large files.
    const { uploadResumable } = await import("./supabase/resumable-upload.ts");
    await uploadResumable(this.#client, whole, this.#options, signal);
  }

  /** A screen with a file missing is better than none: an address that cannot be had now is null. */
  async url(bucket: string, path: string): Promise<string | null> {
    try {
      return await this.#addresses.get(bucket, path);
    } catch (error) {
      this.#options.log.warn({ error, bucket }, "the address of a stored file could not be signed");
      return null;
    }
  }

  async read(
    bucket: string,
    path: string,
    maxBytes: number,
    caller: AbortSignal,
  ): Promise<Uint8Array | "too large" | null> {
    const address = await this.#addresses.get(bucket, path);
    if (address === null) return null;
    const signal = AbortSignal.any([caller, AbortSignal.timeout(readLimitMs)]);
    try {
      return await downloaded(await fetch(address, { signal, redirect: "error" }), maxBytes);
    } catch (error) {
      if (caller.aborted) throw error;
      throw storageUnreachable(error);
    }
  }

  async removeJob(job: JobFolder, signal: AbortSignal): Promise<number> {
    const { bucket } = job;
    const folder = jobFolderOf(job);
    const names = (await this.#client.list({ bucket, path: folder }, signal)).filter(isFileName);
    if (names.length > 0)
      await this.#client.removeAll(
        bucket,
        names.map((name) => `${folder}/${name}`),
        signal,
      );
    return names.length;
  }

  remove(bucket: string, path: string, signal: AbortSignal): Promise<void> {
    return this.#client.remove({ bucket, path }, signal);
  }

  /**
   * A service that says "already there" although it should replace has what an earlier try brought, whose answer was
   * lost, or what another attempt made. The sizes show which.
   */
  async #uploadWhole(file: UploadedFile, signal: AbortSignal): Promise<void> {
    if ((await this.#client.upload(file, signal)) === "stored") return;
    if ((await this.#client.sizeOf(file, signal)) === file.sizeBytes) return;
    await this.#client.remove(file, signal);
    if ((await this.#client.upload(file, signal)) === "stored") return;
    throw new RetryableError(`The storage keeps another file as ${file.path} and does not replace it.`, {
      code: "STORAGE_REFUSED",
    });
  }
}

/** @throws Error for an answer that is no file */
async function downloaded(response: Response, maxBytes: number): Promise<Uint8Array | "too large" | null> {
  if (response.status === 404) return null;
  if (!response.ok || response.body === null) throw new Error(`it answered ${response.status}`);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body) {
    bytes += part.byteLength;
    // What is left unread is dropped with the connection.
    if (bytes > maxBytes) return "too large";
    parts.push(part);
  }
  return Buffer.concat(parts);
}
