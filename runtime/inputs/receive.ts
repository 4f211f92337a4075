import type { IncomingMessage } from "node:http";
import { PermanentError } from "#contract/errors.ts";
import { shownUrl, type Target } from "./address-guard.ts";
import type { InputLimits } from "./limits.ts";
import { unreachable } from "./request.ts";
import { type Content, writeContent } from "./write-content.ts";

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
  try {
    return await writeContent(bodyOf(response, target, signal), file, {
      kinds: [limits.kind],
      maxBytes: () => limits.sizeBytes,
      tooLarge: () => tooLarge(target, limits),
      invalid: (why) => invalid(target, why),
    });
  } finally {
    response.destroy();
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

function tooLarge(target: Target, limits: InputLimits): PermanentError {
  const maxMegabytes = Math.floor(limits.sizeBytes / 1024 / 1024);
  return new PermanentError(`The file ${shownUrl(target.url)} is larger than ${maxMegabytes} MB: send a smaller one.`, {
    code: "INPUT_TOO_LARGE",
  });
}

function invalid(target: Target, why: string): PermanentError {
  return new PermanentError(`The file ${shownUrl(target.url)} cannot be used: ${why}.`, {
    code: "INPUT_INVALID",
  });
}
