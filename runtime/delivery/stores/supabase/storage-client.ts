import { createReadStream } from "node:fs";
import { z } from "zod";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import { type Answer, boundedRequest, type RequestParts } from "#runtime/lib/bounded-request.ts";
import { serviceHeaders } from "#runtime/lib/service-headers.ts";
import type { StoredFile } from "../asset-store.ts";
import {
  isAlreadyThere,
  type RefusalContext,
  readRefusal,
  storageError,
  storageUnreachable,
} from "./storage-refusal.ts";

/** The storage service of one project, as far as a delivery needs it. Every call is bounded and rejects with coded errors. */
export interface StorageClientOptions {
  readonly project: SupabaseConfig;
  readonly nowMs: () => number;
  /** Longest time in which nothing is sent or received. */
  readonly idleMs?: number;
}

export interface UploadedFile extends StoredFile {
  readonly sizeBytes: number;
}

/** A part of 6 MB over a slow line. */
const uploadLimitMs = 15 * 60 * 1000;
const answerLimitMs = 15_000;
const defaultIdleMs = 60_000;
/** Paths are never given to another file, but by another attempt of the same job. */
export const cacheSeconds = 3600;

const objectInfo = z.object({ size: z.number().nullable() });
const signedAddresses = z.array(z.object({ path: z.string().nullable(), signedURL: z.string().nullable() }));

export class StorageClient {
  readonly baseUrl: string;
  readonly #options: StorageClientOptions;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: StorageClientOptions) {
    this.#options = options;
    this.baseUrl = `${options.project.url}/storage/v1`;
    this.#headers = serviceHeaders(options.project.serviceKey);
  }

  /** Where resumable uploads begin, and below which they go on. */
  get resumableUrl(): string {
    return `${this.baseUrl}/upload/resumable`;
  }

  /** Sends the file in one request. "already there" only from a service that does not replace although it is asked to. */
  async upload(file: UploadedFile, signal: AbortSignal): Promise<"stored" | "already there"> {
    const answer = await this.request({
      method: "POST",
      url: this.objectUrl("", file),
      headers: {
        "content-type": file.mimeType,
        "content-length": file.sizeBytes,
        "cache-control": `max-age=${cacheSeconds}`,
        "x-upsert": "true",
      },
      body: createReadStream(file.file, { highWaterMark: 256 * 1024 }),
      limitMs: uploadLimitMs,
      signal,
    });
    if (isOk(answer)) return "stored";
    if (isAlreadyThere(readRefusal(answer))) return "already there";
    throw this.errorOf(answer, file);
  }

  /** The stored object's size, null when there is none. */
  async sizeOf(object: RefusalContext, signal: AbortSignal): Promise<number | null> {
    const answer = await this.request({
      method: "GET",
      url: this.objectUrl("info/", object),
      headers: {},
      limitMs: answerLimitMs,
      signal,
    });
    if (isOk(answer)) return this.#parse(objectInfo, answer).size;
    const { status, code } = readRefusal(answer);
    if (status === 404 && code !== "NoSuchBucket" && !/bucket/i.test(code)) return null;
    throw this.errorOf(answer, object);
  }

  async remove(object: RefusalContext, signal: AbortSignal): Promise<void> {
    const answer = await this.request({
      method: "DELETE",
      url: this.objectUrl("", object),
      headers: {},
      limitMs: answerLimitMs,
      signal,
    });
    if (!isOk(answer) && readRefusal(answer).status !== 404) throw this.errorOf(answer, object);
  }

  /** Addresses by path, for those that exist. */
  async sign(
    bucket: string,
    paths: readonly string[],
    seconds: number,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<ReadonlyMap<string, string>> {
    const answer = await this.request({
      method: "POST",
      url: `${this.baseUrl}/object/sign/${encodeURIComponent(bucket)}`,
      headers: { "content-type": "application/json" },
      body: Buffer.from(JSON.stringify({ expiresIn: seconds, paths })),
      limitMs: answerLimitMs,
      signal,
    });
    if (!isOk(answer)) throw this.errorOf(answer, { bucket, path: paths[0] ?? "" });
    const addresses = this.#parse(signedAddresses, answer);
    return new Map(
      addresses.flatMap(({ path, signedURL }) =>
        path === null || signedURL === null ? [] : [[path, new URL(`${this.baseUrl}${signedURL}`).href] as const],
      ),
    );
  }

  /** @throws RetryableError STORAGE_UNREACHABLE when no answer comes; the signal's reason when it is aborted */
  async request(parts: Omit<RequestParts, "idleMs">): Promise<Answer> {
    try {
      const headers = { ...parts.headers, ...this.#headers };
      return await boundedRequest({ ...parts, headers, idleMs: this.#options.idleMs ?? defaultIdleMs });
    } catch (error) {
      if (parts.signal.aborted) throw error;
      throw storageUnreachable(error);
    }
  }

  errorOf(answer: Answer, context: RefusalContext): Error {
    return storageError(answer, context, this.#options.nowMs());
  }

  objectUrl(kind: "" | "info/", { bucket, path }: RefusalContext): string {
    return `${this.baseUrl}/object/${kind}${[bucket, ...path.split("/")].map(encodeURIComponent).join("/")}`;
  }

  #parse<Schema extends z.ZodType>(schema: Schema, { text }: Answer): z.output<Schema> {
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw storageUnreachable(new Error("its answer is not of the storage service", { cause }));
    }
  }
}

export function isOk({ status }: Answer): boolean {
  return status >= 200 && status < 300;
}
