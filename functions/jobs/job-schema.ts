import { z } from "zod";
import type { Handler } from "#contract/handler.ts";
import { defaultParameters } from "#contract/parameters.ts";
import { parameterSynonyms } from "#contract/synonyms.ts";
import { submission } from "../api/schemas/submission.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

const objectSchema = z.looseObject({
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
});

/**
 * The fields of a job of one type as they are handed in over HTTP: what its handler takes, its type fixed, and how it is
 * to be queued. What only code can check (rules between fields) is not in it.
 */
export function jobSchema(handler: Handler): JsonSchema {
  const { $schema, properties, required, ...rest } = inputSchema(handler.input);
  const queueing = inputSchema(submission.pick({ delay_seconds: true, idempotency_key: true })).properties;
  const parameters = parametersSchema(handler);
  const own = objectSchema.parse(properties.config ?? {});
  const config =
    parameters === null
      ? properties.config
      : { ...own, ...parameters, properties: { ...parameters.properties, ...own.properties } };
  const all = { ...properties, ...(config === undefined ? {} : { config }) };
  return {
    title: handler.type,
    ...(handler.description === undefined ? {} : { description: handler.description }),
    ...rest,
    properties: { ...all, ...queueing, type: { const: handler.type } },
    required: [...new Set([...required, "type", "config"])].filter((field) => !isFilledIn(field, all)),
  };
}

/**
 * The parameters of a job type, null when its handler declares none. Those that the handler has a default for need not be
 * given; a model may have another default. `x-synonyms` are the other names under which one is read.
 */
export function parametersSchema({ parameters, defaults = {} }: Handler): z.output<typeof objectSchema> | null {
  if (parameters === undefined) return null;
  const { $schema, properties, required, ...rest } = inputSchema(parameters);
  const own = defaultParameters(parameters, { handler: defaults });
  const described = Object.entries(properties).map(([name, property]) => {
    const fallback = own[name] === undefined ? {} : { default: own[name] };
    return [name, { ...property, ...fallback, ...synonymsFor(name, properties) }] as const;
  });
  return {
    ...rest,
    additionalProperties: true,
    properties: Object.fromEntries(described),
    required: required.filter((name) => !Object.hasOwn(defaults, name)),
  };
}

function synonymsFor(name: string, properties: Readonly<Record<string, unknown>>): JsonSchema {
  const [, ...others] = parameterSynonyms.find(([canonical]) => canonical === name) ?? [];
  const free = others.filter((other) => !Object.hasOwn(properties, other));
  return free.length === 0 ? {} : { "x-synonyms": free };
}

/** The id is made when it is not given; `config` and `metadata` become empty objects, which may lack what they need. */
function isFilledIn(field: string, properties: Readonly<Record<string, unknown>>): boolean {
  if (field === "id") return true;
  if (field !== "config" && field !== "metadata") return false;
  return objectSchema.parse(properties[field] ?? {}).required.length === 0;
}

function inputSchema(schema: z.ZodType): z.output<typeof objectSchema> {
  return objectSchema.parse(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }));
}
