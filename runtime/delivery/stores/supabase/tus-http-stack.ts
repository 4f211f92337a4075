import { createReadStream } from "node:fs";
import type { HttpRequest, HttpResponse, HttpStack } from "tus-js-client";
import { RetryableError } from "#contract/errors.ts";
import type { BoundedResponse } from "#runtime/lib/bounded-request.ts";
import { isOk, type StorageClient, type UploadedFile } from "./storage-client.ts";
import { isAlreadyThere, readRefusal } from "./storage-refusal.ts";

/*
 * How the library tus-js-client speaks HTTP here: every request bounded and abortable, parts streamed from disk, refusals
 * as coded errors, and the service key never sent to an address that an answer named: of an upload's address only the id
 * is believed, which is its last segment.
 */
const requestLimitMs = 15 * 60 * 1000;

/** What the library gives to `send`, from the reader of resumable-upload.ts. */
export class FilePart {
  readonly #file: string;
  readonly #start: number;
  readonly size: number;

  constructor(file: string, start: number, end: number) {
    this.#file = file;
    this.#start = start;
    this.size = end - start;
  }

  open() {
    const end = this.#start + this.size - 1;
    return createReadStream(this.#file, { start: this.#start, end, highWaterMark: 1024 * 1024 });
  }
}

/** The service does not know the upload any more: it begins anew. */
export class UploadForgotten extends RetryableError {}

/** The service has a file of that name and, although it is asked to, does not replace it. */
export class AlreadyThere extends RetryableError {}

export class TusHttpStack implements HttpStack {
  readonly #client: StorageClient;
  readonly #file: UploadedFile;
  readonly #signal: AbortSignal;
  #isFinished = false;

  constructor(client: StorageClient, file: UploadedFile, signal: AbortSignal) {
    this.#client = client;
    this.#file = file;
    this.#signal = signal;
  }

  /** The service has taken the last part just now, and made the object of them. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  createRequest(method: string, url: string): HttpRequest {
    return new TusRequest(method, url, (request, body) => this.#send(request, body));
  }

  getName(): string {
    return "TusHttpStack";
  }

  async #send(request: TusRequest, body: unknown): Promise<HttpResponse> {
    const method = request.getMethod();
    const part = body instanceof FilePart ? body : null;
    const answer = await this.#client.request({
      method,
      url: request.getURL(),
      headers: { ...request.headers, ...(method === "HEAD" ? {} : { "content-length": part?.size ?? 0 }) },
      ...(part === null ? {} : { body: part.open(), onSent: request.onProgress }),
      signal: AbortSignal.any([this.#signal, request.signal]),
      limitMs: requestLimitMs,
    });
    if (isOk(answer)) {
      this.#isFinished = part !== null && Number(answer.headers["upload-offset"]) === this.#file.sizeBytes;
      return new TusResponse(answer, this.#client.resumableUrl);
    }
    if (method !== "POST" && isForgotten(answer)) {
      // The library begins anew when its look at the upload is answered so, and only then.
      if (method === "HEAD") return new TusResponse(answer, this.#client.resumableUrl);
      throw new UploadForgotten("The storage does not know the upload any more.", { code: "STORAGE_UNREACHABLE" });
    }
    if (isAlreadyThere(readRefusal(answer)))
      throw new AlreadyThere("The storage has the file already.", { code: "STORAGE_REFUSED" });
    throw this.#client.errorOf(answer, this.#file);
  }
}

/** 400: the id is none of this service's. */
function isForgotten({ status }: BoundedResponse): boolean {
  return status === 404 || status === 410 || status === 400;
}

class TusRequest implements HttpRequest {
  readonly headers: Record<string, string> = {};
  onProgress: (bytes: number) => void = () => undefined;
  readonly #method: string;
  readonly #url: string;
  readonly #send: (request: TusRequest, body: unknown) => Promise<HttpResponse>;
  readonly #aborting = new AbortController();

  constructor(method: string, url: string, send: (request: TusRequest, body: unknown) => Promise<HttpResponse>) {
    this.#method = method;
    this.#url = url;
    this.#send = send;
  }

  get signal(): AbortSignal {
    return this.#aborting.signal;
  }

  getMethod(): string {
    return this.#method;
  }

  getURL(): string {
    return this.#url;
  }

  setHeader(header: string, value: string): void {
    this.headers[header.toLowerCase()] = value;
  }

  getHeader(header: string): string | undefined {
    return this.headers[header.toLowerCase()];
  }

  setProgressHandler(handler: (bytes: number) => void): void {
    this.onProgress = handler;
  }

  send(body: unknown): Promise<HttpResponse> {
    return this.#send(this, body);
  }

  async abort(): Promise<void> {
    this.#aborting.abort();
  }

  getUnderlyingObject(): null {
    return null;
  }
}

class TusResponse implements HttpResponse {
  readonly #answer: BoundedResponse;
  readonly #uploads: string;

  constructor(answer: BoundedResponse, uploads: string) {
    this.#answer = answer;
    this.#uploads = uploads;
  }

  getStatus(): number {
    return this.#answer.status;
  }

  getHeader(header: string): string | undefined {
    const name = header.toLowerCase();
    const value = this.#answer.headers[name];
    const text = Array.isArray(value) ? value[0] : value;
    return name === "location" && text !== undefined ? this.#addressOf(text) : text;
  }

  getBody(): string {
    return this.#answer.text;
  }

  getUnderlyingObject(): null {
    return null;
  }

  #addressOf(location: string): string {
    const id = new URL(location, this.#uploads).pathname.split("/").findLast((segment) => segment !== "");
    return `${this.#uploads}/${id}`;
  }
}
