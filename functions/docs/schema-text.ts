import { z } from "zod";

/*
 * JSON schemas in short, for people: `integer, 1 to 150`, `"txt2img" or "img2img"`, `list of Job`.
 */
const described = z.looseObject({
  $ref: z.string().optional(),
  type: z.union([z.string(), z.array(z.string())]).optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  anyOf: z.array(z.record(z.string(), z.unknown())).optional(),
  oneOf: z.array(z.record(z.string(), z.unknown())).optional(),
  items: z.record(z.string(), z.unknown()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  maxLength: z.number().optional(),
  multipleOf: z.number().optional(),
  default: z.unknown().optional(),
});

export function schemaText(input: unknown): string {
  const schema = described.safeParse(input).data;
  if (schema === undefined) return "anything";
  if (schema.$ref !== undefined) return componentName(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return listOf(schema.enum.map((value) => JSON.stringify(value)));
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return listOf(choices.map(schemaText));
  if (schema.type === "array") return `list of ${schemaText(schema.items)}`;
  return [typeText(schema.type), ...limits(schema)].join(", ");
}

export function componentName(reference: string): string {
  return reference.replace("#/components/schemas/", "");
}

const nouns: Readonly<Record<string, string>> = { string: "text", boolean: "true or false" };

function typeText(type: string | readonly string[] | undefined): string {
  const names = [type ?? "anything"].flat();
  return listOf(names.map((name) => nouns[name] ?? name));
}

function limits(schema: z.output<typeof described>): string[] {
  const { minimum, maximum, maxLength, multipleOf } = schema;
  return [
    ...rangeText(minimum, maximum),
    ...(maxLength === undefined ? [] : [`at most ${shown(maxLength)} characters`]),
    ...(multipleOf === undefined || multipleOf === 1 ? [] : [`a multiple of ${multipleOf}`]),
    ...(schema.default === undefined ? [] : [`${JSON.stringify(schema.default)} when left out`]),
  ];
}

function rangeText(minimum: number | undefined, maximum: number | undefined): string[] {
  if (minimum === undefined) return maximum === undefined ? [] : [`at most ${shown(maximum)}`];
  return [maximum === undefined ? `${shown(minimum)} or more` : `${shown(minimum)} to ${shown(maximum)}`];
}

function shown(value: number): string {
  return Number.isSafeInteger(value) ? value.toLocaleString("en-US") : String(value);
}

function listOf(texts: readonly string[]): string {
  return texts.length < 2 ? (texts[0] ?? "nothing") : `${texts.slice(0, -1).join(", ")} or ${texts.at(-1)}`;
}
