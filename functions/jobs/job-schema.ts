import { z } from "zod";
import type { Handler } from "#contract/handler.ts";
import { submission } from "./submission.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * The fields of a job of one type as they are handed in over HTTP: what its handler takes, its type fixed, and how it is
 * to be queued. What only code can check (rules between fields) is not in it.
 */
export function jobSchema(handler: Handler): JsonSchema {
  const { $schema, properties = {}, required = [], ...rest } = inputSchema(handler.input);
  const queueing = inputSchema(submission.pick({ delay_seconds: true, idempotency_key: true })).properties ?? {};
  return {
    title: handler.type,
    ...(handler.description === undefined ? {} : { description: handler.description }),
    ...rest,
    properties: { ...properties, ...queueing, type: { const: handler.type } },
    required: [...new Set([...required, "type"])].filter((field) => !isFilledIn(field, properties)),
  };
}

const nested = z.looseObject({ required: z.array(z.string()).default([]) });

/** The id is made when it is not given; `config` and `metadata` become empty objects, which may lack what they need. */
function isFilledIn(field: string, properties: Readonly<Record<string, unknown>>): boolean {
  if (field === "id") return true;
  if (field !== "config" && field !== "metadata") return false;
  return nested.safeParse(properties[field]).data?.required.length === 0;
}

function inputSchema(schema: z.ZodType) {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}
