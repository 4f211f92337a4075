import { z } from "zod";

/*
 * A session gives a conversation its memory: its last turns, which belong to one user and are forgotten some time after the
 * last one.
 */

const rule = "must be 1 to 128 letters, digits, '-', '_', '.' or ':' and begin with a letter or digit";

/** Names a session of a user; another user's of the same name is another one. */
export const sessionId = z.string(rule).regex(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/, rule);

/** What a user wrote, and what was answered. */
export interface SessionTurn {
  readonly prompt: string;
  readonly response: string;
}

export const sessionLimits = {
  /** Of a session: the oldest ones go. */
  turns: 10,
  /** How long a session is kept after its last turn. */
  keepSeconds: 86_400,
  /** Bytes of UTF-8 that each of a turn's two texts may have: what is longer is kept without its end. */
  textBytes: 32_768,
  /** Bytes of UTF-8 of all texts of a session: the oldest turns go. */
  sessionBytes: 262_144,
  /** Of a user: the one that was not used for longest goes. */
  sessions: 1000,
} as const;

const encoder = new TextEncoder();

/** As much of a text's beginning as has room, in whole characters. */
export function cutToBytes(text: string, maxBytes: number): string {
  // A code unit has at most 3 bytes.
  if (text.length * 3 <= maxBytes) return text;
  return text.slice(0, encoder.encodeInto(text, new Uint8Array(maxBytes)).read);
}
