import { z } from "zod";
import { promptReading, promptTexts } from "#contract/prompt-reading.ts";
import { declareRoute } from "./declare.ts";

/** POST /test-compel: what a model makes of a prompt, for people who type one. */
export const testCompel = declareRoute({
  method: "POST",
  path: "/test-compel",
  access: "key",
  summary: "Read a prompt with its weights, and count its tokens, without drawing",
  description:
    "Answers with the runs of text and their weights, the tokens by text encoder, the chunks in which the prompt is encoded, what would be cut, and the shapes of the embeddings. Reads the model's tokenizers and none of its weights.",
  body: z.looseObject({
    ...promptTexts.shape,
    compel_enabled: promptTexts.shape.compel_enabled.default(true),
    /** The job type that reads the prompt; without it, one that knows weights. */
    type: z.string("must be a job type").max(64, "must be a job type").optional(),
    /** The model; without it, the job type's own. */
    model_variant: z.string("must be a model's name").max(100, "must be a model's name").optional(),
  }),
  responses: {
    200: promptReading.extend({
      type: z.string(),
      model: z.string(),
      /** Fields of the body that play no part. */
      ignored: z.array(z.string()),
    }),
  },
  errors: [
    "UNKNOWN_JOB_TYPE",
    "UNSUPPORTED_OPTION",
    "INVALID_JOB",
    "MODEL_NOT_FOUND",
    "MODEL_INVALID",
    "HANDLER_INVALID",
    "HANDLER_FAILED",
    "EXECUTOR_CRASHED",
    "TIMED_OUT",
    "OVERLOADED",
    "SHUTTING_DOWN",
  ],
});
