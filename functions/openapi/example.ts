import { z } from "zod";

/*
 * A small value that a JSON schema takes: of an object what is required, what has an example of its own, and a prompt. It is
 * what "Try it" sends, so a test posts the one of every job type.
 */
const described = z.looseObject({
  type: z.string().optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  anyOf: z.array(z.unknown()).optional(),
  examples: z.array(z.unknown()).default([]),
  properties: z.record(z.string(), z.unknown()).default({}),
  required: z.array(z.string()).default([]),
  items: z.unknown().optional(),
  minItems: z.number().default(0),
  minimum: z.number().default(0),
  maximum: z.number().default(Infinity),
  multipleOf: z.number().default(1),
});

/** What of these names is worth showing although it need not be given; a change of many jobs is tried without changing any. */
const shown: Readonly<Record<string, unknown>> = { prompt: "a red apple", dry_run: true };

/** What of these names is better than a value of its schema alone. */
const values: Readonly<Record<string, unknown>> = {
  ...shown,
  messages: [{ role: "user", content: "What can you draw?" }],
};

/** A number that most ranges hold and that means something for most: 8 steps, a guidance of 8. */
const middling = 8;

export function exampleOf(input: unknown): unknown {
  const schema = described.parse(input ?? {});
  if (schema.const !== undefined) return schema.const;
  if (schema.examples.length > 0) return schema.examples[0];
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.anyOf !== undefined) return exampleOf(schema.anyOf[0]);
  switch (schema.type) {
    case "object":
      return exampleObject(schema);
    case "array":
      return Array.from({ length: schema.minItems }, () => exampleOf(schema.items));
    case "integer":
    case "number": {
      const { minimum, maximum, multipleOf } = schema;
      return Math.ceil(Math.min(Math.max(middling, minimum), maximum) / multipleOf) * multipleOf;
    }
    case "boolean":
      return false;
    default:
      return "lighthouse";
  }
}

function exampleObject({ properties, required }: z.output<typeof described>): Record<string, unknown> {
  const names = Object.keys(properties).filter(
    (name) =>
      required.includes(name) ||
      hasExample(properties[name]) ||
      (Object.hasOwn(shown, name) && !isRefused(properties[name])),
  );
  return Object.fromEntries(names.map((name) => [name, values[name] ?? exampleOf(properties[name])]));
}

/** Whether the field, or one within it, has an example of its own. */
function hasExample(input: unknown): boolean {
  const schema = described.safeParse(input ?? {});
  if (!schema.success) return false;
  const { examples, properties } = schema.data;
  return examples.length > 0 || Object.values(properties).some(hasExample);
}

/** `{"not": {}}` is a field that must be left out. */
function isRefused(schema: unknown): boolean {
  return z.object({ not: z.object({}) }).safeParse(schema).success;
}
