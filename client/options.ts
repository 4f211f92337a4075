import type { z } from "zod";
import type { chatRequest, enhanceRequest } from "#contract/chat.ts";
import type { listFailures } from "#functions/api/failures.ts";
import type { cancelJobs } from "#functions/api/jobs-cancel-many.ts";
import type { discardJobs } from "#functions/api/jobs-discard-many.ts";
import type { listJobs } from "#functions/api/jobs-list.ts";
import type { deadLetters } from "#functions/api/queues-dead.ts";
import type { submission } from "#functions/api/schemas/submission.ts";
import type { listUndecodable } from "#functions/api/undecodable-list.ts";

/* What the client's calls take: what routes take, before defaults are filled in, and what is said beside it. */

/** A job as it is handed in. */
export type NewJob = z.input<typeof submission>;
/** A request for text that is answered whole. */
export type NewChat = Omit<z.input<typeof chatRequest>, "stream">;
export type NewEnhancement = z.input<typeof enhanceRequest>;
export type Filter = z.input<NonNullable<typeof listJobs.query>>;
export type FailureFilter = z.input<NonNullable<typeof listFailures.query>>;
export type CancelFilter = z.input<NonNullable<typeof cancelJobs.body>>;
export type DiscardFilter = z.input<NonNullable<typeof discardJobs.body>>;
export type UndecodableFilter = z.input<NonNullable<typeof listUndecodable.query>>;
export type Page = z.input<NonNullable<typeof deadLetters.query>>;

export interface GenerateOptions {
  /** How long the result is waited for: 0 to 600, 300 by default. */
  readonly waitSeconds?: number;
  /** Aborting it cancels a job without an id and idempotency key; one that has a name goes on. */
  readonly signal?: AbortSignal;
  /** "base64": the files are in the answer, at most 8 MB together. */
  readonly inline?: "base64";
}

export interface FollowOptions {
  readonly signal?: AbortSignal;
  /** Pause before a stream that broke is opened again. */
  readonly pauseMs?: number;
}

/** Whose sessions are meant: those of requests without a user, when it is left out. */
export interface Owner {
  readonly userId?: string | undefined;
}

export interface UploadOptions {
  /** Whose file it is: jobs of this user may name it. */
  readonly userId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long the upload may take; an hour by default. */
  readonly timeoutMs?: number;
}
