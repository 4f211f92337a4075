import { z } from "zod";
import { enhancementTargets, type Preset, presetSampling } from "#contract/enhancement-presets.ts";

/*
 * What handlers ask the dispatcher process for: it holds what the container keeps beside jobs. Each kind of query has one
 * kind of answer.
 */
export const query = z.discriminatedUnion("of", [z.object({ of: z.literal("presets") })]);
export type Query = z.output<typeof query>;

export interface QueryAnswers {
  readonly presets: readonly Preset[];
}

/** Answers the queries of handlers. @param userId whose job or call it is */
export type AnswerQuery = (query: Query, userId: string) => Promise<QueryAnswers[Query["of"]]>;

const example = z.object({ idea: z.string(), prompt: z.string() });

/** As it arrives in an executor. */
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
