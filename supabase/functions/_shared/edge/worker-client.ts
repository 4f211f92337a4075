import { z } from "zod";
import { CodedError } from "../errors.ts";
import { readBytes } from "../request-body.ts";
import type { EdgeConfig } from "./environment.ts";

/** Calls to the containers' own HTTP functions, at addresses that containers have registered. */

const maxAnswerBytes = 1_048_576;

/** Names and addresses that are not on the public internet. URLs have brought IPv4 addresses into this form. */
const privateHosts = [
  /^localhost$|\.(?:localhost|local|internal|home\.arpa)$/,
  /^(?:0|10|127)\.|^169\.254\.|^192\.168\.|^172\.(?:1[6-9]|2\d|3[01])\./,
  /^100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|^198\.1[89]\.|^(?:22[4-9]|2[3-5]\d)\./,
  /^\[/,
];

/**
 * The address at which a container says that it is reached, without a slash at the end.
 *
 * @throws CodedError INVALID_REQUEST for one that is not public https, unless its host is allowed
 */
export function workerAddress(text: string, { allowedWorkerHosts }: Pick<EdgeConfig, "allowedWorkerHosts">): string {
  const url = new URL(text);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new CodedError("INVALID_REQUEST", "worker_url must have no credentials, query or fragment.");
  }
  const isAllowed = [url.host, url.hostname].some((host) => allowedWorkerHosts.includes(host.toLowerCase()));
  if (!isAllowed && url.protocol !== "https:") {
    throw new CodedError("INVALID_REQUEST", "worker_url must begin with https: keys and prompts go there.");
  }
  // A name may end with a dot and mean the same.
  const name = url.hostname.toLowerCase().replace(/\.+$/, "");
  if (!isAllowed && privateHosts.some((host) => host.test(name))) {
    const message = `worker_url has the private host ${url.hostname}: set PUBLIC_URL at the container to its public address.`;
    throw new CodedError("INVALID_REQUEST", message);
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

const healthAnswer = z.looseObject({ status: z.enum(["healthy", "starting", "degraded"]) });

/**
 * Asks a container for its health.
 *
 * @throws CodedError WORKER_UNREACHABLE when no container of this project answers there
 */
export async function requestHealth(address: string): Promise<z.output<typeof healthAnswer>> {
  const { status, body } = await requestContainer(`${address}/health`, {}, 10_000);
  const health = healthAnswer.safeParse(body);
  if (status !== 200 || !health.success) {
    const message = `${address}/health answered ${status}, and not as a container does: is its port exposed?`;
    throw new CodedError("WORKER_UNREACHABLE", message, { details: { status } });
  }
  return health.data;
}

/**
 * One request to a container; redirects are not followed, and no more than a megabyte is read.
 *
 * @returns the JSON that it answered, undefined for anything else
 * @throws CodedError WORKER_UNREACHABLE
 */
export async function requestContainer(
  url: string,
  init: RequestInit,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly body: unknown }> {
  try {
    const response = await fetch(url, { ...init, redirect: "manual", signal: AbortSignal.timeout(timeoutMs) });
    const bytes = await readBytes(response, maxAnswerBytes);
    return { status: response.status, body: jsonOf(bytes) };
  } catch (error) {
    const why =
      error instanceof Error && error.name === "TimeoutError"
        ? `did not answer within ${timeoutMs / 1000} s`
        : "cannot be reached";
    throw new CodedError("WORKER_UNREACHABLE", `The container at ${new URL(url).host} ${why}.`, { cause: error });
  }
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
