import { CodedError } from "#contract/errors.ts";
import type { RepositoryReference } from "./repository.ts";

/** Something that may be over soon: the request is sent again. */
export class PassingFault extends Error {
  /** What the server asked for; undefined when it did not. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    message: string,
    options: { readonly retryAfterSeconds?: number | undefined; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export interface Refusal {
  readonly status: number;
  /** The hub's own word for the reason, from `X-Error-Code`. */
  readonly errorCode: string | null;
}

export interface AskedOf extends RepositoryReference {
  readonly endpoint: string;
  readonly hasToken: boolean;
}

/** Statuses after which the same request may be answered. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/** What the hub's final refusal means, and what to do. */
export function refusalError(
  { status, errorCode }: Refusal,
  { repo, revision, endpoint, hasToken }: AskedOf,
): CodedError {
  if (errorCode === "GatedRepo" || (status === 403 && errorCode === null))
    return new CodedError(
      "HUB_REFUSED",
      `${repo} is gated: accept its terms at ${endpoint}/${repo}, and set HF_TOKEN to a token of that account that may read it.`,
    );
  if (errorCode === "RevisionNotFound")
    return new CodedError("MODEL_NOT_FOUND", `${repo} has no revision "${revision}": see ${endpoint}/${repo}.`);
  if (status === 401 && hasToken && errorCode !== "RepoNotFound")
    return new CodedError("HUB_REFUSED", `The hub does not accept HF_TOKEN: make a new one that may read ${repo}.`);
  if (status === 401 || status === 404)
    return new CodedError(
      "MODEL_NOT_FOUND",
      `The hub has no repository ${repo} that ${hasToken ? "this HF_TOKEN may read" : "anybody may read"}: check the name${hasToken ? "" : ", or set HF_TOKEN if it is private"}.`,
    );
  return new CodedError("HUB_REFUSED", `The hub refuses ${repo} (status ${status}).`);
}

/** What is left when trying again has not helped. */
export function unreachableError(host: string, fault: PassingFault): CodedError {
  return new CodedError(
    "HUB_UNREACHABLE",
    `${host} cannot be read from: ${fault.message}. Run it again, and it goes on from where it stopped.`,
    { cause: fault },
  );
}
