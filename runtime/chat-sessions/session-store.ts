import type { SessionTurn } from "#contract/chat-sessions.ts";

/*
 * Where sessions of chat are kept: the service of the container's first source, so that all containers of a queue know the
 * same ones, by its clock. See `sessionLimits` for what is kept of a session and how long.
 */

/** A session is one user's: the same id with another user is another session. */
export interface SessionKey {
  readonly userId: string;
  readonly sessionId: string;
}

export interface NewTurn extends SessionTurn {
  /** Another one for each turn: one that is there already is not added again. */
  readonly id: string;
  /** The job or call that has made it. */
  readonly jobId: string;
  /** Another one each time that the job runs. */
  readonly runId: string;
}

export interface StoredTurn extends NewTurn {
  readonly createdAtMs: number;
}

export interface StoredSession {
  /** The oldest first; at least one. */
  readonly turns: readonly StoredTurn[];
  readonly expiresAtMs: number;
}

export interface SessionStore {
  /** Null for one that never was, has expired or was forgotten. */
  read(session: SessionKey): Promise<StoredSession | null>;
  /**
   * Adds a turn behind those of others that came before, in one step, and drops what is beyond the limits, and turns that
   * an earlier run of the same job has added. May be repeated after its answer was lost.
   */
  append(session: SessionKey, turn: NewTurn): Promise<void>;
  /** Whether there was one. */
  forget(session: SessionKey): Promise<boolean>;
  /** Forgets all of a user's; answers how many there were. */
  forgetAll(userId: string): Promise<number>;
  /** Removes what is left of expired ones, so many at most; answers how many. Nothing where they go by themselves. */
  sweep(max: number): Promise<number>;
}
