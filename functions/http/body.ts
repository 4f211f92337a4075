import { maxJobCharacters } from "#contract/decode.ts";
import { hasPrototypeKey, parseExactJson } from "#contract/json.ts";
import { type Excess, excessOf, jobLimits } from "#contract/json-limits.ts";
import { HttpError } from "../errors.ts";

/** Twice the largest job, for what its texts have of escapes and of characters beyond ASCII. */
export const maxBodyBytes = 2 * maxJobCharacters;

/**
 * The JSON value of a request's body, read no further than the limit.
 * @throws HttpError UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, INVALID_REQUEST
 */
export async function readJson(request: Request, limitBytes = maxBodyBytes): Promise<unknown> {
  requireJson(request.headers);
  const text = decode(await readBytes(request, limitBytes));
  if (text.trim() === "") throw new HttpError("INVALID_REQUEST", "The body is empty: send a JSON object.");
  const excess = excessOf(text, jobLimits);
  if (excess !== null) throw excessive(excess);
  const value = parse(text);
  if (hasPrototypeKey(value)) {
    throw new HttpError("INVALID_REQUEST", 'The body has a key "__proto__", which is not allowed.');
  }
  return value;
}

function requireJson(headers: Headers): void {
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

async function readBytes(request: Request, limitBytes: number): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > limitBytes) throw tooLarge(limitBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyOf(request)) {
    size += chunk.byteLength;
    // Thrown inside the loop, it also cancels the stream: the rest is not taken in.
    if (size > limitBytes) throw tooLarge(limitBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** @throws HttpError INVALID_REQUEST when it breaks off */
export async function* bodyOf(request: Request): AsyncGenerator<Uint8Array> {
  try {
    yield* request.body ?? [];
  } catch (cause) {
    throw new HttpError("INVALID_REQUEST", "The body ended before it was complete.", { cause });
  }
}

function tooLarge(limitBytes: number): HttpError {
  const message = `The body is larger than ${limitBytes.toLocaleString("en-US")} bytes, which is the limit: upload files, and send their addresses.`;
  // What is still on its way will not be read, so the connection cannot be used again.
  return new HttpError("BODY_TOO_LARGE", message, { headers: { Connection: "close" } });
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
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HttpError("INVALID_REQUEST", `The body is not valid JSON: ${reason}.`, { cause });
  }
}

function excessive({ of, message }: Excess): HttpError {
  return new HttpError(
    of === "levels" ? "INVALID_REQUEST" : "BODY_TOO_LARGE",
    `The body ${message}, which is the limit.`,
  );
}
