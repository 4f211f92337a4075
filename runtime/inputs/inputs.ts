import { constants, copyFile, rename, rm } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import PQueue from "p-queue";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { inputHash, isDataAddress } from "#contract/input-address.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import type { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { AddressGuard, shownUrl, type Target } from "./address-guard.ts";
import { writeDataInput } from "./data-input.ts";
import type { CachedAddress, InputCache } from "./input-cache.ts";
import { type FetchedFile, fileFor, type InputRequest } from "./input-request.ts";
import { type InputLimits, inputLimits } from "./limits.ts";
import { type Network, systemNetwork } from "./network.ts";
import { receive } from "./receive.ts";
import { requestInput } from "./request.ts";
import { signAgain, storageObject } from "./storage-address.ts";
import { copyUpload, noSuchUpload, otherContent, signUpload } from "./uploads/find-upload.ts";
import { uploadPaths } from "./uploads/upload-path.ts";

/*
 * Reference files of jobs, from an address that somebody else chose to a file that a handler may read:
 *
 *   check the address → resolve and check the host → ask, with what the cache has → follow, at most 3 times, through the
 *   same checks → receive, bounded and looked at → cache → a copy in the attempt's folder
 *
 * This runs in the dispatcher process: executors have no service key, and run handlers.
 */
export interface InputsOptions {
  readonly allowedHosts: readonly string[];
  readonly supabase: SupabaseConfig | null;
  readonly cache: InputCache;
  readonly log: Logger;
  /** Where files that were uploaded to this data folder lie; null where none can be. */
  readonly uploads?: Pick<LocalAssetStore, "locate"> | null;
  readonly network?: Network;
  readonly limits?: InputLimits;
}

type Download =
  | { readonly kind: "file"; readonly input: FetchedFile }
  | { readonly kind: "denied"; readonly status: number; readonly url: URL };

const concurrency = 8;
const redirectStatuses = new Set([301, 302, 303, 307, 308]);
const passingStatuses = new Set([408, 425, 429]);
/** What storage answers to a token that has run out or is none. */
const tokenStatuses = new Set([400, 401, 403]);

export class Inputs {
  readonly #guard: AddressGuard;
  readonly #cache: InputCache;
  readonly #supabase: SupabaseConfig | null;
  readonly #log: Logger;
  readonly #uploads: Pick<LocalAssetStore, "locate"> | null;
  readonly #network: Network;
  readonly #limits: InputLimits;
  readonly #queue = new PQueue({ concurrency });

  constructor({ allowedHosts, supabase, cache, log, ...options }: InputsOptions) {
    const { uploads = null, network = systemNetwork, limits = inputLimits } = options;
    this.#guard = new AddressGuard({ allowedHosts, projectUrl: supabase?.url ?? null });
    this.#cache = cache;
    this.#supabase = supabase;
    this.#log = log;
    this.#uploads = uploads;
    this.#network = network;
    this.#limits = limits;
  }

  /**
   * @throws PermanentError INPUT_REFUSED, INPUT_NOT_FOUND, INPUT_EXPIRED, INPUT_TOO_LARGE, INPUT_INVALID; RetryableError
   *   INPUT_UNREACHABLE, DISK_FULL; the signal's reason when it is aborted
   */
  async fetch(request: InputRequest): Promise<FetchedFile> {
    return this.#queue.add(
      async () => {
        const signal = AbortSignal.any([request.signal, AbortSignal.timeout(this.#limits.totalMs)]);
        const startedAtMs = performance.now();
        const input = await this.#fetch({ ...request, signal }).catch((error: unknown) => {
          throw isDiskFull(error) ? diskFull(error) : error;
        });
        const tookMs = Math.round(performance.now() - startedAtMs);
        this.#log.debug(
          { mime_type: input.mimeType, bytes: input.sizeBytes, took_ms: tookMs },
          "reference file fetched",
        );
        return input;
      },
      { signal: request.signal },
    );
  }

  async #fetch(request: InputRequest): Promise<FetchedFile> {
    if (isDataAddress(request.url)) return writeDataInput(request, this.#limits);
    const sha256 = inputHash(request.url);
    return sha256 === null ? this.#fetchAddress(request) : this.#fetchUploaded(sha256, request);
  }

  /** A file that the job's user has uploaded: here, or to any container of the app. */
  async #fetchUploaded(sha256: string, request: InputRequest): Promise<FetchedFile> {
    const paths = uploadPaths(request.userId, sha256, this.#limits.kind);
    const here = this.#uploads === null ? null : await copyUpload(this.#uploads, paths, request);
    if (here !== null) return here;
    const url = this.#supabase === null ? null : await signUpload(paths, this.#supabase, request.signal);
    if (url === null) throw noSuchUpload(request.url, this.#limits.kind);
    const input = await this.#fetchAddress({ ...request, url });
    if (input.sha256 !== sha256) throw otherContent(request.url);
    return input;
  }

  async #fetchAddress(request: InputRequest): Promise<FetchedFile> {
    const first = await this.#download(request.url, request);
    if (first.kind === "file") return first.input;
    const again = await this.#download(await this.#renewed(first, request), request);
    if (again.kind === "file") return again.input;
    throw notFound(again.url, again.status);
  }

  /** A new address for a file of the job's own user in the app's own storage. */
  async #renewed({ status, url }: Extract<Download, { kind: "denied" }>, request: InputRequest): Promise<string> {
    const object =
      this.#supabase === null || !tokenStatuses.has(status) ? null : storageObject(url, this.#supabase.url);
    if (this.#supabase === null || object === null) throw notFound(url, status);
    if (object.segments[0] !== request.userId) {
      throw new PermanentError(
        `The address of ${shownUrl(url)} is not valid any more (${status}), and is renewed only for files of the job's own user: sign it anew and send the job again.`,
        { code: "INPUT_EXPIRED" },
      );
    }
    return signAgain(object, this.#supabase, request.signal);
  }

  async #download(address: string, request: InputRequest): Promise<Download> {
    let target = this.#guard.check(address);
    for (let redirects = 0; ; ) {
      const known = await this.#cache.find(target.url);
      const response = await this.#send(target, known, request.signal);
      const status = response.statusCode ?? 0;
      if (status === 200) return { kind: "file", input: await this.#store(response, target, request) };
      response.destroy();
      if (status === 304 && known !== null) {
        const file = fileFor(request, known.content);
        await makeFolder(request.folder);
        if (await this.#cache.copyTo(file, target.url, known))
          return { kind: "file", input: { file, ...known.content } };
      } else if (redirectStatuses.has(status)) {
        if (++redirects > this.#limits.redirects) throw tooManyRedirects(target, this.#limits.redirects);
        target = this.#guard.check(response.headers.location ?? "", target.url);
      } else if (status >= 500 || passingStatuses.has(status)) {
        throw new RetryableError(
          `The file ${shownUrl(target.url)} could not be fetched: its server answered ${status}.`,
          {
            code: "INPUT_UNREACHABLE",
          },
        );
      } else {
        return { kind: "denied", status, url: target.url };
      }
    }
  }

  /** With what the cache knows, the server need not send what has not changed. */
  #send(target: Target, known: CachedAddress | null, signal: AbortSignal): Promise<IncomingMessage> {
    const headers = {
      ...(known?.etag === undefined ? {} : { "If-None-Match": known.etag }),
      ...(known?.lastModified === undefined ? {} : { "If-Modified-Since": known.lastModified }),
    };
    return requestInput(target, { guard: this.#guard, network: this.#network, limits: this.#limits, headers, signal });
  }

  async #store(response: IncomingMessage, target: Target, request: InputRequest): Promise<FetchedFile> {
    const partialFile = await this.#cache.partialFile();
    try {
      const content = await receive(response, target, partialFile, this.#limits, request.signal);
      const file = fileFor(request, content);
      await makeFolder(request.folder);
      const { etag, "last-modified": lastModified, "cache-control": policy } = response.headers;
      const mayKeep = (etag ?? lastModified) !== undefined && !/\bno-store\b/i.test(policy ?? "");
      if (!mayKeep || !(await this.#copyAndKeep(partialFile, file, target.url, { content, etag, lastModified })))
        await rename(partialFile, file);
      return { file, ...content };
    } finally {
      // Also where the body was not begun.
      response.destroy();
      await rm(partialFile, { force: true });
    }
  }

  /** A cache that cannot be written, or a disk too full for a second copy, does not cost the job its file: false. */
  async #copyAndKeep(partialFile: string, file: string, url: URL, address: CachedAddress): Promise<boolean> {
    try {
      // A copy, because handlers may write into their file, and others have the same content.
      await copyFile(partialFile, file, constants.COPYFILE_FICLONE);
      await this.#cache.keep(url, partialFile, address);
      return true;
    } catch (error) {
      this.#log.warn({ error }, "a reference file could not be kept for other jobs");
      return false;
    }
  }
}

function notFound(url: URL, status: number): PermanentError {
  return new PermanentError(
    `The file ${shownUrl(url)} is not there: its server answered ${status}. Send the job again with an address that works.`,
    { code: "INPUT_NOT_FOUND" },
  );
}

function tooManyRedirects(target: Target, max: number): PermanentError {
  return new PermanentError(`The file ${shownUrl(target.url)} is redirected more than ${max} times.`, {
    code: "INPUT_REFUSED",
  });
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

function diskFull(cause: unknown): RetryableError {
  return new RetryableError(
    "The disk is full while fetching a reference file: free some space in the data folder (DATA_DIR), and retry the job.",
    { code: "DISK_FULL", cause },
  );
}
