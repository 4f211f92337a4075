import { z } from "zod";
import { type SessionTurn, sessionId } from "#contract/chat-sessions.ts";
import { enhancementTargets, type Preset, presetSampling } from "#contract/enhancement-presets.ts";

/*
 * What handlers ask the dispatcher process for: it holds what the container keeps beside jobs. Each kind of query has one
 * kind of answer.
 */
const sessionTurn = z.object({ prompt: z.string(), response: z.string() });
export const query = z.discriminatedUnion("of", [
  z.object({ of: z.literal("presets") }),
  z.object({ of: z.literal("session"), sessionId }),
  z.object({ of: z.literal("remember"), sessionId, turn: sessionTurn }),
]);
export type Query = z.output<typeof query>;

export interface QueryAnswers {
  readonly presets: readonly Preset[];
  readonly session: { readonly turns: readonly SessionTurn[] };
  readonly remember: { readonly isCut: boolean };
}

/** The job or call whose handler queries. */
export interface QueryOrigin {
  readonly userId: string;
  readonly jobId: string;
  /** Another one each time that the job runs. */
  readonly runId: string;
}

/** Answers the queries of handlers. */
export type AnswerQuery = (query: Query, origin: QueryOrigin) => Promise<QueryAnswers[Query["of"]]>;

const example = z.object({ idea: z.string(), prompt: z.string() });

/* As they arrive in an executor. */

export const sessionAnswer = z.object({ turns: z.array(sessionTurn) });
export const rememberAnswer = z.object({ isCut: z.boolean() });
export const presetsAnswer = z.array(
  z.object({
    name: z.string(),
    description: z.string(),
    target: z.enum(enhancementTargets),
    system: z.string(),
    examples: z.array(example),
    tokenLimit: z.number(),
    sampling: presetSampling,
  }),
);
