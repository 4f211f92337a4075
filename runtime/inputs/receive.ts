import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { PermanentError } from "#contract/errors.ts";
import { shownUrl, type Target } from "./address-guard.ts";
import { type FetchedMimeType, type InputKind, type InputLimits, safetensorsMimeType } from "./limits.ts";
import { unreachable } from "./request.ts";
import { isSafetensors, sniff, sniffedBytes } from "./sniff.ts";

/** What a file turned out to be. */
export interface Content {
  readonly mimeType: FetchedMimeType;
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/**
 * Writes the body to `file`, which must not exist, as it comes: never more than the limit, and only while it looks like
 * what may be named there. A body that breaks off is an error.
 *
 * @throws PermanentError INPUT_TOO_LARGE, INPUT_INVALID; RetryableError INPUT_UNREACHABLE; file system errors as they are
 */
export async function receive(
  response: IncomingMessage,
  target: Target,
  file: string,
  limits: InputLimits,
  signal: AbortSignal,
): Promise<Content> {
  checkHead(response, target, limits);
  const hash = createHash("sha256");
  const handle = await open(file, "wx");
  let head: Buffer = Buffer.alloc(0);
  let mimeType: FetchedMimeType | null = null;
  let sizeBytes = 0;
  try {
    for await (const chunk of bodyOf(response, target, signal)) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > limits.sizeBytes) throw tooLarge(target, limits);
      if (mimeType === null) {
        head = Buffer.concat([head, chunk.subarray(0, sniffedBytes)]);
        if (head.byteLength >= sniffedBytes) mimeType = recognise(head, target, limits.kind);
      }
      hash.update(chunk);
      await writeAll(handle, chunk);
    }
    // A file that is shorter than what is looked at may still be one.
    return { mimeType: mimeType ?? recognise(head, target, limits.kind), sizeBytes, sha256: hash.digest("hex") };
  } finally {
    response.destroy();
    await handle.close();
  }
}

function checkHead(response: IncomingMessage, target: Target, limits: InputLimits): void {
  const announced = Number(response.headers["content-length"] ?? 0);
  const encoding = response.headers["content-encoding"] ?? "identity";
  if (announced > limits.sizeBytes) {
    response.destroy();
    throw tooLarge(target, limits);
  }
  if (encoding !== "identity") {
    response.destroy();
    throw invalid(target, `its server sends it packed (${encoding.slice(0, 40)}), though it was asked not to`);
  }
}

/** The chunks; what ends them early is reported as the network's fault, apart from what goes wrong with writing them. */
async function* bodyOf(response: IncomingMessage, target: Target, signal: AbortSignal): AsyncGenerator<Buffer> {
  const chunks: AsyncIterator<unknown> = response[Symbol.asyncIterator]();
  for (;;) {
    const next = await chunks.next().catch((cause: unknown) => {
      throw unreachable(target.url, cause, signal);
    });
    if (next.done) break;
    if (next.value instanceof Buffer) yield next.value;
  }
  if (!response.complete) throw unreachable(target.url, new Error("it broke off"), signal);
}

async function writeAll(handle: Awaited<ReturnType<typeof open>>, chunk: Buffer): Promise<void> {
  for (let written = 0; written < chunk.byteLength; ) {
    written += (await handle.write(chunk, written)).bytesWritten;
  }
}

const allowedContent = {
  media: "PNG, JPEG, WebP, GIF, MP4, MOV or WebM",
  weights: "safetensors",
} as const satisfies Record<InputKind, string>;

function recognise(head: Buffer, target: Target, kind: InputKind): FetchedMimeType {
  const mimeType = kind === "media" ? sniff(head) : isSafetensors(head) ? safetensorsMimeType : null;
  if (mimeType === null) {
    const why = head.byteLength === 0 ? "it is empty" : `by its content it is no ${allowedContent[kind]} file`;
    throw invalid(target, why);
  }
  return mimeType;
}

function tooLarge(target: Target, limits: InputLimits): PermanentError {
  const maxMegabytes = Math.floor(limits.sizeBytes / 1024 / 1024);
  return new PermanentError(
    `The reference file ${shownUrl(target.url)} is larger than ${maxMegabytes} MB: send a smaller one.`,
    {
      code: "INPUT_TOO_LARGE",
    },
  );
}

function invalid(target: Target, why: string): PermanentError {
  return new PermanentError(`The reference file ${shownUrl(target.url)} cannot be used: ${why}.`, {
    code: "INPUT_INVALID",
  });
}
