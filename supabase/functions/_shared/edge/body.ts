import { hasPrototypeKey, parseExactJson } from "../json.ts";
import { type Excess, excessOf, type JsonLimits, jobLimits } from "../json-limits.ts";
import { isStorable } from "../storable.ts";
import { HttpError } from "./answer.ts";

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

/** @throws HttpError BODY_TOO_LARGE past the limits, INVALID_REQUEST for what is no JSON, too deep, or not safe to copy */
export function parseJson(bytes: Uint8Array, limits: JsonLimits = jobLimits): unknown {
  const text = decode(bytes);
  if (text.trim() === "") throw new HttpError("INVALID_REQUEST", "The body is empty: send a JSON object.");
  const excess = excessOf(text, limits);
  if (excess !== null) throw excessive(excess);
  const value = parse(text);
  if (hasPrototypeKey(value)) {
    throw new HttpError("INVALID_REQUEST", 'The body has a key "__proto__", which is not allowed.');
  }
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
  try {
    return parseExactJson(text);
  } catch (cause) {
    // The engine's own words may quote the body.
    throw new HttpError("INVALID_REQUEST", "The body is not valid JSON.", { cause });
  }
}

function excessive({ of, message }: Excess): HttpError {
  return new HttpError(
    of === "levels" ? "INVALID_REQUEST" : "BODY_TOO_LARGE",
    `The body ${message}, which is the limit.`,
  );
}
