import { randomUUID } from "node:crypto";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { FileStore, MemoryConfigstore } from "@tus/file-store";
import { Metadata, Server, type Upload } from "@tus/server";
import type { ObjectStore } from "./object-store.ts";
import { storageErrors } from "./storage-error.ts";

/*
 * The resumable endpoint: the library that the storage service itself runs, with the service's hooks around it. An
 * upload's id is `<bucket>/<object name>/<version>`, in base64url in its address.
 */
export const resumablePath = "/storage/v1/upload/resumable";
/** 6 MB, as the service counts. */
export const chunkBytes = 6 * 1024 * 1024;
const uploadUrlMs = 24 * 60 * 60 * 1000;

export interface ResumableEndpoint {
  readonly server: Server;
  /** Every upload that is under way, and every finished one's address, is as unknown as after 24 hours. */
  expireAll(): Promise<void>;
}

export function resumableEndpoint(objects: ObjectStore, folder: string): ResumableEndpoint {
  const directory = join(folder, "resumable");
  const configstore = new MemoryConfigstore();
  const datastore = new FileStore({ directory, configstore, expirationPeriodInMilliseconds: uploadUrlMs });
  const server = new Server({
    path: resumablePath,
    datastore,
    respectForwardedHeaders: true,
    namingFunction: (_request, metadata) => {
      const { bucketName, objectName } = metadata ?? {};
      if (!bucketName || !objectName) throw storageErrors.invalidRequest("Metadata header is required");
      return `${bucketName}/${objectName}/${randomUUID()}`;
    },
    generateUrl: (_request, { proto, host, path, id }) =>
      `${proto}://${host}${path}/${Buffer.from(id).toString("base64url")}`,
    getFileIdFromRequest: (request) => {
      const last = new URL(request.url).pathname.slice(resumablePath.length + 1);
      return last === "" ? undefined : Buffer.from(last, "base64url").toString();
    },
    maxSize: (_request, id) => objects.sizeLimit(partsOf(id ?? "").bucket),
    onIncomingRequest: async (request, id) => {
      if (request.method === "HEAD" || request.method === "OPTIONS") return;
      const upsert = request.headers.get("x-upsert") === "true";
      const { bucket, path } = partsOf(id);
      if (request.method === "POST") {
        const metadata = Metadata.parse(request.headers.get("upload-metadata") ?? undefined);
        const sizeBytes = Number(request.headers.get("upload-length"));
        await objects.check({ bucket, path, mimeType: metadata.contentType ?? null, sizeBytes, upsert });
        return;
      }
      const upload = await datastore.getUpload(id);
      checkChunk(upload, Number(request.headers.get("content-length")));
      await objects.check({ bucket, path, mimeType: null, sizeBytes: upload.size ?? null, upsert });
    },
    onUploadFinish: async (_request, upload) => {
      const file = join(directory, upload.id);
      objects.put({
        ...partsOf(upload.id),
        sizeBytes: (await stat(file)).size,
        mimeType: upload.metadata?.contentType ?? "application/octet-stream",
        cacheControl: upload.metadata?.cacheControl ? `max-age=${upload.metadata.cacheControl}` : "no-cache",
        file,
      });
      return { headers: { "Tus-Complete": "1" } };
    },
  });
  return {
    server,
    async expireAll() {
      const finished = new Set(objects.all().map(({ file }) => file));
      for (const id of await configstore.list()) {
        await configstore.delete(id);
        if (!finished.has(join(directory, id))) await rm(join(directory, id), { force: true });
      }
    },
  };
}

function partsOf(id: string): { readonly bucket: string; readonly path: string } {
  const [bucket = "", ...rest] = id.split("/");
  return { bucket, path: rest.slice(0, -1).join("/") };
}

/** The service keeps each part as a part of an S3 upload, which must all be equal but for the last. */
function checkChunk({ offset, size }: Upload, length: number): void {
  const isLast = size !== undefined && offset + length === size;
  if (length > chunkBytes || (!isLast && length !== chunkBytes)) throw storageErrors.chunkSize();
}
