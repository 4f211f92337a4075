import { z } from "zod";
import { chatRequest } from "#contract/chat.ts";
import { declareRoute } from "./declare.ts";
import { sessionFacts, textErrors, textFacts, textHeaders } from "./schemas/text-answer.ts";

export const chatAnswer = textFacts
  .extend({
    response: z.string(),
    /** Messages, oldest first, that had no room in the model's context. */
    dropped_turns: z.int().min(0),
    session_id: z.string().optional(),
    ...sessionFacts,
  })
  .meta({ id: "ChatAnswer" });

export type ChatAnswer = z.output<typeof chatAnswer>;

export const chat = declareRoute({
  method: "POST",
  path: "/chat",
  access: "key",
  summary: "Ask the language model, without the queue",
  description:
    'Goes before the jobs on the queue of the worker chat, one request at a time. With "stream": true the answer comes as server-sent events: `text` with {"delta"}, at the end `done` with the whole answer, or `error`. A client that closes the connection ends the generation.',
  body: chatRequest,
  headers: textHeaders,
  responses: { 200: chatAnswer },
  errors: textErrors,
});
