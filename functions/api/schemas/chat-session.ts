import { z } from "zod";
import { sessionId } from "#contract/chat-sessions.ts";
import { safeId } from "#contract/job.ts";

/** What is remembered of a conversation. */
export const chatSession = z
  .object({
    session_id: z.string(),
    user_id: z.string(),
    /** The oldest first. */
    turns: z.array(z.object({ prompt: z.string(), response: z.string(), created_at: z.string() })),
    /** It is forgotten then, unless another turn comes. */
    expires_at: z.string(),
  })
  .meta({ id: "ChatSession" });

export const sessionParams = z.strictObject({ id: sessionId });

/** Whose sessions are meant: those of requests without a user, when it is left out. */
export const sessionOwner = z.strictObject({ user_id: safeId.default("anonymous") });

export const forgotten = z.object({
  /** How many sessions there were. */
  deleted: z.int().min(0),
});
