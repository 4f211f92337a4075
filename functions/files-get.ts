import { type FileHandle, open } from "node:fs/promises";
import { extname } from "node:path";
import type { Runtime } from "#runtime/container/runtime.ts";
import { file } from "./api/files-get.ts";
import { HttpError } from "./errors.ts";
import { type ByteRange, parseByteRange } from "./http/byte-range.ts";
import { fileStream } from "./http/file-stream.ts";
import { defineRoute } from "./http/route.ts";
import { signedName } from "./http/signed-name.ts";

/** What jobs make. Anything else is sent as bytes, so that no browser runs it. */
const mimeTypes: Readonly<Record<string, string>> = {
  ".gif": "image/gif",
  ".jpeg": "image/jpeg",
  ".jpg": "image/jpeg",
  ".json": "application/json",
  ".mp4": "video/mp4",
  ".png": "image/png",
  ".txt": "text/plain; charset=utf-8",
  ".webm": "video/webm",
  ".webp": "image/webp",
};

/** Of a file that is opened by itself: nothing runs, nothing is loaded. */
const showOnly = "default-src 'none'; sandbox";
/** A browser's own page around a video loads it once more, which a sandbox, having an origin of its own, may not. */
const playOnly = "default-src 'none'; media-src 'self'";

export const fileRoute = defineRoute(file).handle(async ({ path, method, headers }, { files }) => {
  const opened = await openFile(files, path);
  try {
    return { response: respond(opened, method, headers) };
  } catch (error) {
    await opened.handle.close();
    throw error;
  }
});

interface OpenedFile {
  readonly handle: FileHandle;
  readonly size: number;
  readonly etag: string;
  readonly modified: Date;
  readonly mimeType: string;
}

/** The size is the open file's own: a file of the same name that replaces it meanwhile does not mix in. */
async function openFile(files: Runtime["files"], path: string): Promise<OpenedFile> {
  const [bucket = "", ...parts] = (signedName(path) ?? "").split("/");
  const target = files.locate(bucket, parts.join("/"));
  const handle = await open(target).catch((cause: unknown) => {
    throw new HttpError("NOT_FOUND", "There is no such file (any more).", { cause });
  });
  const stats = await handle.stat({ bigint: true });
  if (!stats.isFile()) {
    await handle.close();
    throw new HttpError("NOT_FOUND", "There is no such file (any more).");
  }
  return {
    handle,
    size: Number(stats.size),
    etag: `"${stats.size.toString(36)}-${stats.mtimeNs.toString(36)}"`,
    modified: new Date(Number(stats.mtimeMs)),
    mimeType: mimeTypes[extname(target).toLowerCase()] ?? "application/octet-stream",
  };
}

function respond(opened: OpenedFile, method: string, request: Headers): Response {
  const { handle, size, etag, modified, mimeType } = opened;
  const headers = {
    ETag: etag,
    "Last-Modified": modified.toUTCString(),
    "Cache-Control": "private, max-age=3600",
    "Accept-Ranges": "bytes",
    "Content-Type": mimeType,
    "Content-Security-Policy": mimeType.startsWith("video/") ? playOnly : showOnly,
  };
  if (isUnchanged(opened, request)) return without(handle, { status: 304, headers });
  const range = isSameFile(opened, request.get("if-range")) ? parseByteRange(request.get("range"), size) : "whole";
  if (range === "unsatisfiable") {
    throw new HttpError("RANGE_NOT_SATISFIABLE", `The range lies outside the file, which has ${size} bytes.`, {
      headers: { "Content-Range": `bytes */${size}` },
    });
  }
  const part: ByteRange = range === "whole" ? { start: 0, end: size - 1 } : range;
  const init = {
    status: range === "whole" ? 200 : 206,
    headers: {
      ...headers,
      "Content-Length": String(part.end + 1 - part.start),
      ...(range === "whole" ? {} : { "Content-Range": `bytes ${part.start}-${part.end}/${size}` }),
    },
  };
  if (method === "HEAD" || size === 0) return without(handle, init);
  return new Response(fileStream(handle, part), init);
}

/** An answer without a body: the file is not needed. */
function without(handle: FileHandle, init: ResponseInit): Response {
  void handle.close();
  return new Response(null, init);
}

function isUnchanged({ etag, modified }: OpenedFile, request: Headers): boolean {
  const known = request.get("if-none-match");
  if (known !== null) return known.split(",").some((tag) => ["*", etag].includes(tag.trim().replace(/^W\//, "")));
  return inSeconds(modified.toUTCString()) <= inSeconds(request.get("if-modified-since") ?? "");
}

/** Whether the part that a client has is of this file (RFC 9110, section 13.1.5). */
function isSameFile({ etag, modified }: OpenedFile, condition: string | null): boolean {
  return condition === null || condition === etag || inSeconds(condition) === inSeconds(modified.toUTCString());
}

/** NaN, which compares with nothing, when the text is no date. */
function inSeconds(date: string): number {
  return Math.floor(Date.parse(date) / 1000);
}
