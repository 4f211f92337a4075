import { z } from "zod";
import type { ErrorCode } from "#contract/errors.ts";

const count = z.int().min(0);

/** What every answer of the language model says of how it was made. */
export const textFacts = z.object({
  success: z.boolean(),
  model: z.string(),
  /** Seconds from the request to the answer, the waiting for its turn included. */
  processing_time: z.number(),
  /** Seconds in which the model computed. */
  generation_time: z.number(),
  prompt_tokens: count,
  tokens_generated: count,
  /** `stop`: the model's end mark or a stop text; `length`: the token limit, or the end of the context. */
  finish_reason: z.enum(["stop", "length"]),
});

/** What an answer says of its session, where the request names one. */
export const sessionFacts = {
  /** Turns of the session that the model has read. */
  session_turns: count.optional(),
  /** Turns, the oldest, that had no room in the model's context. */
  session_turns_dropped: count.optional(),
  /** The question or the answer was too long to be remembered whole. */
  session_turn_cut: z.boolean().optional(),
};

/** Errors of the routes that call the language model. */
export const textErrors = [
  "INVALID_JOB",
  "UNKNOWN_JOB_TYPE",
  "CALL_NOT_OFFERED",
  "MODEL_NOT_FOUND",
  "MODEL_INVALID",
  "MODEL_UNSUITABLE",
  "MODEL_TOO_LARGE",
  "IDEMPOTENCY_CONFLICT",
  "NOT_READY",
  "OVERLOADED",
  "TIMED_OUT",
  "CANCELLED",
  "EXECUTOR_CRASHED",
  "SESSIONS_UNREACHABLE",
  "HANDLER_FAILED",
  "HANDLER_INVALID",
  "OUT_OF_MEMORY",
  "DEVICE_LOST",
  "DEVICE_FAULT",
  "SHUTTING_DOWN",
] as const satisfies readonly ErrorCode[];

export const textHeaders = {
  "Idempotency-Key": z
    .string()
    .describe("The same key and body of one user are answered once, for ten minutes, by this container."),
};
