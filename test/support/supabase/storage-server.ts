import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkAccess, newStorageKeys, type StorageKeys } from "./storage/access.ts";
import { countBody, FaultPlan } from "./storage/faults.ts";
import { answerObjectRoute, isSignedDownload, type ObjectRoutes, sendJson } from "./storage/object-routes.ts";
import { type FindBucket, ObjectStore, type StorageBucket, type StoredObject } from "./storage/object-store.ts";
import { resumableEndpoint, resumablePath } from "./storage/resumable.ts";
import { UrlSigner } from "./storage/signed-urls.ts";
import { StorageError } from "./storage/storage-error.ts";

export type { Fault } from "./storage/faults.ts";
export type { StorageBucket, StoredObject } from "./storage/object-store.ts";
export { chunkBytes } from "./storage/resumable.ts";

/*
 * A storage service on loopback that enforces Supabase's documented rules: allow-lists, size limits, names, keys, parts
 * of exactly 6 MB, upload addresses that expire, signed addresses. Files are on disk, never in memory.
 */
export interface StorageServerOptions {
  /** The buckets, or where they are looked up (a database). */
  readonly buckets: readonly StorageBucket[] | FindBucket;
  /** Keys of the project that it belongs to; its own otherwise. */
  readonly keys?: StorageKeys;
  /** The project's limit for one file, in bytes; 50 MB on the free plan. */
  readonly projectSizeLimit?: number;
  readonly nowMs?: () => number;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  /** Length of the body as far as it has come. */
  bytes: number;
  status: number | null;
}

export interface StorageServer extends StorageKeys {
  /** The project's address: the service is below `/storage/v1`. */
  readonly url: string;
  readonly faults: FaultPlan;
  /** Every request, oldest first. */
  readonly requests: readonly SeenRequest[];
  /** For a server that puts the service beside others: answers what is below `/storage/v1`. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  objects(): StoredObject[];
  find(bucket: string, path: string): StoredObject | undefined;
  read(bucket: string, path: string): Promise<Buffer>;
  /** Bytes of all bodies of uploads so far. */
  uploadedBytes(): number;
  /** As after 24 hours: addresses of uploads that are under way are unknown. */
  expireUploads(): Promise<void>;
  close(): Promise<void>;
}

export async function startStorageServer(options: StorageServerOptions): Promise<StorageServer> {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-storage-"));
  const keys = options.keys ?? (await newStorageKeys());
  const objects = new ObjectStore(finderOf(options.buckets), options.projectSizeLimit ?? 5_000_000_000);
  const routes: ObjectRoutes = {
    objects,
    signer: new UrlSigner(options.nowMs ?? Date.now),
    folder: join(folder, "standard"),
  };
  await mkdir(routes.folder);
  const resumable = resumableEndpoint(objects, folder);
  const faults = new FaultPlan();
  const requests: SeenRequest[] = [];

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? "/", "http://storage");
    requests.push(observe(request, response, url));
    if (!(await faults.meet(request, response))) return;
    try {
      if (!isSignedDownload(request, url)) checkAccess(request.headers, keys);
      if (url.pathname === resumablePath || url.pathname.startsWith(`${resumablePath}/`))
        await resumable.server.handle(request, response);
      else await answerObjectRoute(routes, request, response, url);
    } catch (error) {
      answerError(request, response, error);
    }
  };

  const server = createServer((request, response) => void handle(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the storage server has no port");
  return {
    ...keys,
    url: `http://127.0.0.1:${address.port}`,
    faults,
    requests,
    handle,
    objects: () => objects.all(),
    find: (bucket, path) => objects.find(bucket, path),
    read: (bucket, path) => readFile(objects.get(bucket, path).file),
    uploadedBytes: () => requests.reduce((sum, { bytes }) => sum + bytes, 0),
    expireUploads: () => resumable.expireAll(),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function finderOf(buckets: StorageServerOptions["buckets"]): FindBucket {
  return typeof buckets === "function" ? buckets : (id) => buckets.find((bucket) => bucket.id === id) ?? null;
}

function observe(request: IncomingMessage, response: ServerResponse, url: URL): SeenRequest {
  const seen: SeenRequest = { method: request.method ?? "", path: url.pathname, bytes: 0, status: null };
  countBody(request, (bytes) => {
    seen.bytes += bytes;
  });
  response.once("finish", () => {
    seen.status = response.statusCode;
  });
  return seen;
}

function answerError(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  // Whoever read the answer has left.
  if (response.headersSent) {
    request.socket.destroy();
    return;
  }
  if (request.destroyed && !request.complete) return;
  const known = error instanceof StorageError ? error : new StorageError(500, "InternalError", String(error));
  // What is left of a refused body is not read.
  if (!request.complete) response.setHeader("connection", "close");
  const { statusCode, code, error: name, message, httpStatus } = known;
  sendJson(
    response,
    httpStatus,
    code === "" ? { message } : { statusCode: String(statusCode), error: name, code, message },
  );
}
