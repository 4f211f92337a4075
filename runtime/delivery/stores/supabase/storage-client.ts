import { AsyncLocalStorage } from "node:async_hooks";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import type { SupabaseClient } from "@supabase/supabase-js";
import { z } from "zod";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import { type BoundedResponse, boundedRequest, type RequestParts } from "#runtime/lib/bounded-request.ts";
import { ProjectClient } from "#runtime/lib/project-client.ts";
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
  /** Limit of the time in which nothing is sent or received. */
  readonly idleMs?: number;
}

export interface UploadedFile extends StoredFile {
  readonly sizeBytes: number;
}

/** A part of 6 MB over a slow line. */
const uploadLimitMs = 15 * 60 * 1000;
const answerLimitMs = 15_000;
const defaultIdleMs = 60_000;
/** What the service asks for of a file that is sent in parts: exactly 6 MB, but for the last one. */
export const partBytes = 6 * 1024 * 1024;
/** Paths are never given to another file, but by another attempt of the same job. */
export const cacheSeconds = 3600;

const maxListed = 1000;

/** A folder has no id. */
const listedObjects = z.array(z.object({ name: z.string(), id: z.string().nullable() }));
const objectInfo = z.object({ size: z.number().nullable() });
const signedAddresses = z.array(z.object({ path: z.string().nullable(), signedURL: z.string().nullable() }));

/** One call of the library and what was answered to it: the library's own errors keep neither headers nor the whole body. */
interface Exchange {
  readonly signal: AbortSignal;
  readonly limitMs: number;
  answer?: BoundedResponse;
}

type Bucket = ReturnType<SupabaseClient["storage"]["from"]>;
type Outcome = { readonly data: unknown; readonly error: null } | { readonly data: null; readonly error: Error };

export class StorageClient {
  readonly baseUrl: string;
  readonly #options: StorageClientOptions;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #project: ProjectClient;
  /** The call that a request belongs to: the library takes neither a signal nor limits. */
  readonly #exchange = new AsyncLocalStorage<Exchange>();

  constructor(options: StorageClientOptions) {
    this.#options = options;
    this.baseUrl = `${options.project.url}/storage/v1`;
    this.#headers = serviceHeaders(options.project.serviceKey);
    this.#project = new ProjectClient(options.project, (input, init) => this.#fetch(String(input), init));
  }

  /** Where resumable uploads begin, and below which they go on. */
  get resumableUrl(): string {
    return `${this.baseUrl}/upload/resumable`;
  }

  /** Sends the file in one request. "already there" only from a service that does not replace although it is asked to. */
  async upload(file: UploadedFile, signal: AbortSignal): Promise<"stored" | "already there"> {
    const upload = (bucket: Bucket) =>
      bucket.upload(file.path, createReadStream(file.file, { highWaterMark: 256 * 1024 }), {
        contentType: file.mimeType,
        cacheControl: String(cacheSeconds),
        upsert: true,
        headers: { "content-length": String(file.sizeBytes) },
      });
    const { refused } = await this.#call(file, { signal, limitMs: uploadLimitMs }, upload);
    if (refused === null) return "stored";
    if (isAlreadyThere(readRefusal(refused))) return "already there";
    throw this.errorOf(refused, file);
  }

  /** The stored object's size, null when there is none. */
  async sizeOf(object: RefusalContext, signal: AbortSignal): Promise<number | null> {
    const info = (bucket: Bucket) => bucket.info(object.path);
    const { data, refused } = await this.#call(object, { signal, limitMs: answerLimitMs }, info);
    if (refused === null) return parsed(objectInfo, data).size;
    const { status, code } = readRefusal(refused);
    if (status === 404 && code !== "NoSuchBucket" && !/bucket/i.test(code)) return null;
    throw this.errorOf(refused, object);
  }

  remove({ bucket, path }: RefusalContext, signal: AbortSignal): Promise<void> {
    return this.removeAll(bucket, [path], signal);
  }

  /** What is not there is passed over. */
  async removeAll(bucket: string, paths: readonly string[], signal: AbortSignal): Promise<void> {
    const context = { bucket, path: paths[0] ?? "" };
    const remove = (files: Bucket) => files.remove([...paths]);
    const { refused } = await this.#call(context, { signal, limitMs: answerLimitMs }, remove);
    if (refused !== null && readRefusal(refused).status !== 404) throw this.errorOf(refused, context);
  }

  /** Names of the objects right below a folder, at most 1,000; none where there is no such folder or bucket. */
  async list(folder: RefusalContext, signal: AbortSignal): Promise<string[]> {
    const list = (files: Bucket) => files.list(folder.path, { limit: maxListed });
    const { data, refused } = await this.#call(folder, { signal, limitMs: answerLimitMs }, list);
    if (refused === null) return parsed(listedObjects, data).flatMap(({ name, id }) => (id === null ? [] : [name]));
    if (readRefusal(refused).status === 404) return [];
    throw this.errorOf(refused, folder);
  }

  /** Addresses by path, for those that exist. */
  async sign(
    bucket: string,
    paths: readonly string[],
    seconds: number,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<ReadonlyMap<string, string>> {
    const context = { bucket, path: paths[0] ?? "" };
    const sign = (files: Bucket) => files.createSignedUrls([...paths], seconds);
    const { data, refused } = await this.#call(context, { signal, limitMs: answerLimitMs }, sign);
    if (refused !== null) throw this.errorOf(refused, context);
    return new Map(
      parsed(signedAddresses, data).flatMap(({ path, signedURL }) =>
        path === null || signedURL === null ? [] : [[path, this.#addressOf(bucket, path, signedURL)] as const],
      ),
    );
  }

  /** The service answers names as they are: in an address, `?` and `#` would end them. */
  #addressOf(bucket: string, path: string, signed: string): string {
    const plain = `/object/sign/${bucket}/${path}`;
    if (!signed.startsWith(`${plain}?`)) return new URL(`${this.baseUrl}${signed}`).href;
    const name = path.split("/").map(encodeURIComponent).join("/");
    return `${this.baseUrl}/object/sign/${bucket}/${name}${signed.slice(plain.length)}`;
  }

  /**
   * For the parts of an upload, which the library has no call for.
   *
   * @throws RetryableError STORAGE_UNREACHABLE when no answer comes; the signal's reason when it is aborted
   */
  async request(parts: Omit<RequestParts, "idleMs">): Promise<BoundedResponse> {
    try {
      const headers = { ...parts.headers, ...this.#headers };
      return await boundedRequest({ ...parts, headers, idleMs: this.#idleMs });
    } catch (error) {
      if (parts.signal.aborted) throw error;
      throw storageUnreachable(error);
    }
  }

  errorOf(answer: BoundedResponse, context: RefusalContext): Error {
    return storageError(answer, context, this.#options.nowMs());
  }

  get #idleMs(): number {
    return this.#options.idleMs ?? defaultIdleMs;
  }

  /**
   * What the library answers, or what the service refused it with.
   *
   * @throws RetryableError STORAGE_UNREACHABLE when no answer of the service comes; the signal's reason when it is aborted
   */
  async #call(
    { bucket }: RefusalContext,
    exchange: Exchange,
    act: (files: Bucket) => Promise<Outcome>,
  ): Promise<{ readonly data: unknown; readonly refused: BoundedResponse | null }> {
    const { storage } = await this.#project.get();
    const { data, error } = await this.#exchange.run(exchange, () => act(storage.from(bucket)));
    if (error === null) return { data, refused: null };
    if (exchange.answer !== undefined && !isOk(exchange.answer)) return { data, refused: exchange.answer };
    if (exchange.signal.aborted) throw exchange.signal.reason;
    throw storageUnreachable("originalError" in error ? error.originalError : error);
  }

  /** What the library sends its requests by: bounded, streamed, and without following anybody elsewhere. */
  async #fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const exchange = this.#exchange.getStore();
    if (exchange === undefined) throw new Error("a request of the storage belongs to a call");
    const answer = await boundedRequest({
      method: init.method ?? "GET",
      url,
      headers: Object.fromEntries(new Headers(init.headers)),
      ...bodyOf(init.body),
      signal: exchange.signal,
      limitMs: exchange.limitMs,
      idleMs: this.#idleMs,
    });
    exchange.answer = answer;
    return new Response(answer.text === "" ? null : answer.text, { status: answer.status });
  }
}

function bodyOf(body: unknown): Pick<RequestParts, "body"> {
  if (body === undefined || body === null) return {};
  if (body instanceof Readable) return { body };
  if (typeof body === "string") return { body: Buffer.from(body) };
  throw new Error("the library sends a file as a stream, and anything else as JSON");
}

/** @throws RetryableError STORAGE_UNREACHABLE: somebody else has answered */
function parsed<Schema extends z.ZodType>(schema: Schema, data: unknown): z.output<Schema> {
  const checked = schema.safeParse(data);
  if (checked.success) return checked.data;
  throw storageUnreachable(new Error("its answer is not of the storage service", { cause: checked.error }));
}

export function isOk({ status }: BoundedResponse): boolean {
  return status >= 200 && status < 300;
}
