import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { rm, stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import type { ObjectStore, StoredObject } from "./object-store.ts";
import type { UrlSigner } from "./signed-urls.ts";
import { storageErrors } from "./storage-error.ts";

/* The routes below `/storage/v1/object`: standard uploads, downloads, facts about an object, signed addresses. */
export interface ObjectRoutes {
  readonly objects: ObjectStore;
  readonly signer: UrlSigner;
  /** Where standard uploads are kept. */
  readonly folder: string;
}

interface Exchange extends ObjectRoutes {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly bucket: string;
  readonly path: string;
}

/** Addresses of uploads are good for two hours. */
const uploadSeconds = 7200;

const signOne = z.object({ expiresIn: z.number().int().min(1) });
const removeMany = z.object({ prefixes: z.array(z.string()).min(1).max(1000) });
const listFolder = z.object({ prefix: z.string(), limit: z.number().int().min(1).max(1000).default(100) });
const signMany = signOne.extend({ paths: z.array(z.string()).min(1).max(1000) });

/** True for addresses that need no key: they carry their own token. */
export function isSignedDownload(request: IncomingMessage, url: URL): boolean {
  if (request.method === "PUT") return url.pathname.startsWith("/storage/v1/object/upload/sign/");
  return url.pathname.startsWith("/storage/v1/object/sign/") && (request.method === "GET" || request.method === "HEAD");
}

/** @throws StorageError */
export async function answerObjectRoute(
  routes: ObjectRoutes,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const parts = url.pathname.slice("/storage/v1/object/".length).split("/").map(decodeURIComponent);
  if (parts[0] === "upload" && parts[1] === "sign") parts.splice(0, 2, "upload-sign");
  const kind = ["upload-sign", "sign", "info", "authenticated", "list"].includes(parts[0] ?? "")
    ? parts.shift()
    : undefined;
  if (kind === "info" && parts[0] === "authenticated") parts.shift();
  const [bucket = "", ...rest] = parts;
  const exchange: Exchange = { ...routes, request, response, url, bucket, path: rest.join("/") };
  const answer = actions[`${request.method === "HEAD" ? "GET" : request.method} ${kind ?? ""}`.trim()];
  if (answer === undefined) throw storageErrors.invalidRequest(`Route ${request.method}:${url.pathname} not found`);
  await answer(exchange);
}

const actions: Readonly<Record<string, (exchange: Exchange) => Promise<void>>> = {
  POST: (exchange) => upload(exchange, exchange.request.headers["x-upsert"] === "true"),
  PUT: (exchange) => upload(exchange, true),
  GET: (exchange) => download(exchange),
  "GET authenticated": (exchange) => download(exchange),
  "GET info": async ({ objects, bucket, path, response }) => {
    await objects.bucket(bucket);
    sendJson(response, 200, info(objects.get(bucket, path)));
  },
  DELETE: async ({ objects, bucket, path, request, response }) => {
    await objects.bucket(bucket);
    if (path !== "") {
      objects.remove(bucket, path);
      sendJson(response, 200, { message: "Successfully deleted" });
      return;
    }
    // What is not there is not among those that were removed.
    const { prefixes } = parsed(removeMany, await json(request));
    const found = prefixes.filter((name) => objects.find(bucket, name) !== undefined);
    for (const name of found) objects.remove(bucket, name);
    sendJson(
      response,
      200,
      found.map((name) => ({ name, bucket_id: bucket })),
    );
  },
  "POST list": async ({ objects, bucket, request, response }) => {
    await objects.bucket(bucket);
    const { prefix, limit } = parsed(listFolder, await json(request));
    const folder = prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`;
    const below = objects.all().filter((object) => object.bucket === bucket && object.path.startsWith(folder));
    const entries = below.map(({ id, path }) => {
      const [name = "", ...deeper] = path.slice(folder.length).split("/");
      return { name, id: deeper.length === 0 ? id : null };
    });
    const byName = new Map(entries.map((entry) => [entry.name, entry]));
    sendJson(response, 200, [...byName.values()].slice(0, limit));
  },
  "POST upload-sign": async ({ objects, signer, bucket, path, response }) => {
    await objects.check({ bucket, path, mimeType: null, sizeBytes: null, upsert: true });
    const signed = await signer.sign(`upload:${bucket}/${path}`, uploadSeconds);
    const { search } = new URL(signed, "http://storage.example");
    sendJson(response, 200, { url: `/object/upload/sign/${bucket}/${path}${search}` });
  },
  "PUT upload-sign": async (exchange) => {
    const { signer, bucket, path, url } = exchange;
    await signer.verify(`upload:${bucket}/${path}`, url.searchParams.get("token"));
    await upload(exchange, true);
  },
  "POST sign": sign,
  "GET sign": async (exchange) => {
    const { signer, bucket, path, url } = exchange;
    await signer.verify(`${bucket}/${path}`, url.searchParams.get("token"));
    await download(exchange);
  },
};

async function upload({ objects, folder, request, response, bucket, path }: Exchange, upsert: boolean): Promise<void> {
  const mimeType = request.headers["content-type"] ?? "application/octet-stream";
  const length = request.headers["content-length"];
  const sizeBytes = length === undefined ? null : Number(length);
  await objects.check({ bucket, path, mimeType, sizeBytes, upsert });
  const file = join(folder, randomUUID());
  try {
    await pipeline(request, createWriteStream(file));
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
  const cacheControl = request.headers["cache-control"] ?? "no-cache";
  const stored = objects.put({ bucket, path, sizeBytes: (await stat(file)).size, mimeType, cacheControl, file });
  sendJson(response, 200, { Id: stored.id, Key: `${bucket}/${path}` });
}

async function download({ objects, bucket, path, request, response }: Exchange): Promise<void> {
  await objects.bucket(bucket);
  const object = objects.get(bucket, path);
  response.writeHead(200, {
    "content-type": object.mimeType,
    "content-length": object.sizeBytes,
    "cache-control": object.cacheControl,
    "last-modified": object.createdAt.toUTCString(),
  });
  if (request.method === "HEAD") response.end();
  else await pipeline(createReadStream(object.file), response);
}

async function sign({ objects, signer, request, response, bucket, path }: Exchange): Promise<void> {
  await objects.bucket(bucket);
  const body: unknown = await json(request);
  if (path !== "") {
    const { expiresIn } = parsed(signOne, body);
    objects.get(bucket, path);
    sendJson(response, 200, { signedURL: await signer.sign(`${bucket}/${path}`, expiresIn) });
    return;
  }
  const { expiresIn, paths } = parsed(signMany, body);
  const missing = "Either the object does not exist or you do not have access to it";
  const answers = paths.map(async (one) =>
    objects.find(bucket, one) === undefined
      ? { error: missing, path: one, signedURL: null }
      : { error: null, path: one, signedURL: await signer.sign(`${bucket}/${one}`, expiresIn) },
  );
  sendJson(response, 200, await Promise.all(answers));
}

function parsed<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const result = schema.safeParse(body);
  if (!result.success) throw storageErrors.invalidRequest(`body ${z.prettifyError(result.error)}`);
  return result.data;
}

function info(object: StoredObject) {
  return {
    id: object.id,
    name: object.path,
    version: String(object.version),
    bucket_id: object.bucket,
    size: object.sizeBytes,
    content_type: object.mimeType,
    cache_control: object.cacheControl,
    metadata: {},
    last_modified: object.createdAt.toISOString(),
    created_at: object.createdAt.toISOString(),
  };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
}
