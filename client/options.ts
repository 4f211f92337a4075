/* What the client's calls take beside what they send. */

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
