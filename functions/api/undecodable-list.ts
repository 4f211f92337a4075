import { z } from "zod";
import { wholeNumberFrom } from "#contract/fields.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";

export const undecodableElement = z.object({
  /** Names it, as long as it is there. */
  id: z.string(),
  source: z.string(),
  queue: z.string(),
  /** Why there is no job in it. */
  reason: z.string(),
  at: z.iso.datetime(),
  /** Its beginning, without secrets. */
  element: z.string(),
});

/** GET /undecodable: elements of queues in which there is no job. */
export const listUndecodable = declareRoute({
  method: "GET",
  path: "/undecodable",
  access: "key",
  summary: "Elements of queues in which there is no job, the newest first",
  query: z.strictObject({
    /** Only of this queue. */
    queue: z.string().max(100).optional(),
    limit: wholeNumberFrom(1, 100).default(20),
  }),
  responses: {
    200: z.object({
      elements: z.array(undecodableElement),
      /** There are others. */
      more: z.boolean(),
      /** Sources that did not answer: their elements are missing here. */
      unreachable: z.array(z.string()),
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});

export type UndecodableView = z.output<(typeof listUndecodable.responses)[200]>;
