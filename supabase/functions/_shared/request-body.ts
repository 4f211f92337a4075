import { CodedError } from "./errors.ts";
import { hasPrototypeKey, parseExactJson } from "./json.ts";
import { excessOf, type JsonLimits, jobLimits } from "./json-limits.ts";

/* The bodies of requests and answers, read no further than they may be long, and the JSON in them: of every door. */

/** The error for a body that is larger than the limit. */
export type TooLarge = (limitBytes: number) => CodedError;

/** @throws CodedError BODY_TOO_LARGE as `tooLarge` makes it, INVALID_REQUEST for one that breaks off */
export async function readBytes(
  message: Request | Response,
  limitBytes: number,
  tooLarge: TooLarge = bodyTooLarge,
): Promise<Uint8Array> {
  if (Number(message.headers.get("content-length") ?? 0) > limitBytes) throw tooLarge(limitBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunksOf(message)) {
    size += chunk.byteLength;
    // Thrown inside the loop, it also cancels the stream: the rest is not taken in.
    if (size > limitBytes) throw tooLarge(limitBytes);
    chunks.push(chunk);
  }
  return joined(chunks, size);
}

/** What is said of a body that breaks off. */
export const brokenOff = "The body ended before it was complete.";

/** @throws CodedError INVALID_REQUEST when it breaks off */
export async function* chunksOf(message: Request | Response): AsyncGenerator<Uint8Array> {
  try {
    yield* message.body ?? [];
  } catch (cause) {
    throw new CodedError("INVALID_REQUEST", brokenOff, { cause });
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function bodyTooLarge(limitBytes: number): CodedError {
  return new CodedError("BODY_TOO_LARGE", `${tooLargeSentence(limitBytes)}.`);
}

export function tooLargeSentence(limitBytes: number): string {
  return `The body is larger than ${limitBytes.toLocaleString("en-US")} bytes, which is the limit`;
}

/** @throws CodedError UNSUPPORTED_MEDIA_TYPE */
export function requireJson(headers: Headers): void {
  const type = headers.get("content-type") ?? "";
  if (!/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type)) {
    const given = type === "" ? "is missing" : `is "${type.slice(0, 100)}"`;
    throw new CodedError("UNSUPPORTED_MEDIA_TYPE", `Content-Type ${given}: send application/json.`);
  }
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    const shown = encoding.slice(0, 100);
    throw new CodedError("UNSUPPORTED_MEDIA_TYPE", `Content-Encoding is "${shown}": send the body uncompressed.`);
  }
}

export interface JsonRules {
  /** A job's, where nothing else is said. */
  readonly limits?: JsonLimits;
  /** What is no JSON is refused in the engine's own words, which may quote the body. */
  readonly quotes?: boolean;
}

/** @throws CodedError BODY_TOO_LARGE past the limits, INVALID_REQUEST for what is no JSON, too deep, or not safe to copy */
export function parseJson(bytes: Uint8Array, { limits = jobLimits, quotes = false }: JsonRules = {}): unknown {
  const text = decode(bytes);
  if (text.trim() === "") throw new CodedError("INVALID_REQUEST", "The body is empty: send a JSON object.");
  requireWithin(text, limits);
  const value = parse(text, quotes);
  if (hasPrototypeKey(value)) {
    throw new CodedError("INVALID_REQUEST", 'The body has a key "__proto__", which is not allowed.');
  }
  return value;
}

/** @throws CodedError INVALID_REQUEST for too many levels, BODY_TOO_LARGE for too many values or names */
export function requireWithin(text: string, limits: JsonLimits): void {
  const excess = excessOf(text, limits);
  if (excess === null) return;
  const code = excess.of === "levels" ? "INVALID_REQUEST" : "BODY_TOO_LARGE";
  throw new CodedError(code, `The body ${excess.message}, which is the limit.`);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CodedError("INVALID_REQUEST", "The body is not UTF-8 text.", { cause });
  }
}

function parse(text: string, quotes: boolean): unknown {
  try {
    return parseExactJson(text);
  } catch (cause) {
    const reason = quotes && cause instanceof Error ? `: ${cause.message}` : "";
    throw new CodedError("INVALID_REQUEST", `The body is not valid JSON${reason}.`, { cause });
  }
}
