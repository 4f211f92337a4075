import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { type BoundedResponse, boundedRequest } from "#runtime/lib/bounded-request.ts";

const health = z.looseObject({ status: z.enum(["healthy", "starting", "degraded"]) });

/**
 * Requests the container's own health through its public address, as others will: the address may be wrong, its port not
 * exposed, the proxy not ready.
 *
 * @throws CodedError REGISTRATION_FAILED; the signal's reason when it is aborted
 */
export async function checkPublicAddress(url: string, signal: AbortSignal, limitMs = 10_000): Promise<void> {
  const address = `${url}/health`;
  const answer = await request(address, signal, limitMs);
  const isContainer = answer.status === 200 && health.safeParse(parse(answer.text)).success;
  if (isContainer) return;
  throw new CodedError(
    "REGISTRATION_FAILED",
    `${address} answered ${answer.status}, and not as a container does: expose the container's port, or set PUBLIC_URL to the address at which it is reached.`,
  );
}

async function request(url: string, signal: AbortSignal, limitMs: number): Promise<BoundedResponse> {
  try {
    return await boundedRequest({ method: "GET", url, headers: {}, signal, idleMs: limitMs, limitMs });
  } catch (cause) {
    signal.throwIfAborted();
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError("REGISTRATION_FAILED", `${url} cannot be reached: ${why}.`, { cause });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
