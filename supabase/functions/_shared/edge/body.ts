import { parseExactJson } from "../json.ts";
import { isStorable } from "../storable.ts";
import { HttpError } from "./answer.ts";

/** Far above any body of ours, and far below what overflows the stack of code that walks a value. */
const maxDepth = 32;

/**
 * The body of a request or an answer, read no further than the limit.
 *
 * @throws HttpError BODY_TOO_LARGE, INVALID_REQUEST
 */
export async function readBytes(request: Request | Response, limitBytes: number): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > limitBytes) throw tooLarge(limitBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  for (let chunk = await next(reader); chunk !== undefined; chunk = await next(reader)) {
    size += chunk.byteLength;
    if (size > limitBytes) {
      await reader?.cancel().catch(() => undefined);
      throw tooLarge(limitBytes);
    }
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/**
 * The JSON value of a request's body.
 *
 * @throws HttpError UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, INVALID_REQUEST
 */
export async function readJson(request: Request, limitBytes: number): Promise<unknown> {
  requireJson(request.headers);
  const value = parseJson(await readBytes(request, limitBytes));
  if (isStorable(value)) return value;
  const what = "a text with the character NUL or with half of a surrogate pair";
  throw new HttpError("INVALID_REQUEST", `The body has ${what}, which cannot be kept: leave it out.`);
}

/** @throws HttpError UNSUPPORTED_MEDIA_TYPE */
export function requireJson(headers: Headers): void {
  const type = headers.get("content-type") ?? "";
  if (!/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type)) {
    const given = type === "" ? "is missing" : `is "${type.slice(0, 100)}"`;
    throw new HttpError("UNSUPPORTED_MEDIA_TYPE", `Content-Type ${given}: send application/json.`);
  }
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    const shown = encoding.slice(0, 100);
    throw new HttpError("UNSUPPORTED_MEDIA_TYPE", `Content-Encoding is "${shown}": send the body uncompressed.`);
  }
}

/** @throws HttpError INVALID_REQUEST for what is no JSON, or not safe to walk and copy */
export function parseJson(bytes: Uint8Array): unknown {
  const value = parse(decode(bytes));
  const trouble = findTrouble(value);
  if (trouble !== null) throw new HttpError("INVALID_REQUEST", `The body ${trouble}.`);
  return value;
}

async function next(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<Uint8Array | undefined> {
  try {
    return (await reader?.read())?.value;
  } catch (cause) {
    throw new HttpError("INVALID_REQUEST", "The body ended before it was complete.", { cause });
  }
}

function tooLarge(limitBytes: number): HttpError {
  const message = `The body is larger than ${limitBytes.toLocaleString("en-US")} bytes, which is the limit.`;
  return new HttpError("BODY_TOO_LARGE", message);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new HttpError("INVALID_REQUEST", "The body is not UTF-8 text.", { cause });
  }
}

function parse(text: string): unknown {
  if (text.trim() === "") throw new HttpError("INVALID_REQUEST", "The body is empty: send a JSON object.");
  try {
    return parseExactJson(text);
  } catch (cause) {
    // The engine's own words may quote the body.
    throw new HttpError("INVALID_REQUEST", "The body is not valid JSON.", { cause });
  }
}

/** A loop and not a recursion: the depth is the caller's choice. */
function findTrouble(root: unknown): string | null {
  const stack: [unknown, number][] = [[root, 0]];
  for (let entry = stack.pop(); entry; entry = stack.pop()) {
    const [value, depth] = entry;
    if (typeof value !== "object" || value === null) continue;
    if (depth >= maxDepth) return `is nested deeper than ${maxDepth} levels`;
    if (Object.hasOwn(value, "__proto__")) return 'has a key "__proto__", which is not allowed';
    for (const child of Object.values(value)) stack.push([child, depth + 1]);
  }
  return null;
}
