import { z } from "zod";
import { promptReading, promptTexts } from "#contract/prompt-reading.ts";
import { errorReport } from "#runtime/executor/protocol.ts";

/* The messages between the dispatcher process and the process that reads prompts. */

export const readRequest = z.object({
  id: z.number().int(),
  /** Job type whose handler reads the prompt. */
  type: z.string(),
  handlersFolder: z.string(),
  modelFolder: z.string(),
  texts: promptTexts,
});

export const readAnswer = z.union([
  z.object({ id: z.number().int(), reading: promptReading }),
  z.object({ id: z.number().int(), error: errorReport }),
]);

export type ReadRequest = z.output<typeof readRequest>;
export type ReadAnswer = z.output<typeof readAnswer>;
