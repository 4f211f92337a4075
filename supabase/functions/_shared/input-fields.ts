import { z } from "zod";
import { type InputField, inputFieldKey } from "./input-address.ts";

/** A field of a job that names a file: `["metadata", "reference_image_url"]`. */
export interface InputPlace {
  readonly path: readonly string[];
  readonly takes: InputField;
}

const node: z.ZodType<{
  readonly properties?: Readonly<Record<string, unknown>> | undefined;
  readonly takes: unknown;
}> = z
  .looseObject({ properties: z.record(z.string(), z.unknown()).optional() })
  .transform(({ properties, ...rest }) => ({ properties, takes: rest[inputFieldKey] }));
const kinds = z.enum(["picture", "video", "picture or video", "weights"]);
const deepest = 3;

/** The part of a job type's schema that says it. */
interface FieldSchemas {
  readonly input: z.ZodType;
  readonly parameters?: z.ZodObject;
}

const known = new WeakMap<FieldSchemas, readonly InputPlace[]>();

/** The fields of a job type that name files, by what its schemas say of themselves. */
export function inputFieldsOf(schema: FieldSchemas): readonly InputPlace[] {
  const places = known.get(schema) ?? [
    ...placesIn(jsonSchema(schema.input), []),
    ...(schema.parameters === undefined ? [] : placesIn(jsonSchema(schema.parameters), ["config"])),
  ];
  known.set(schema, places);
  return places;
}

/** The same, of a job's JSON schema as a container shows it. */
export function inputFieldsIn(schema: unknown): readonly InputPlace[] {
  return placesIn(schema, []);
}

function jsonSchema(schema: z.ZodType): unknown {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}

function placesIn(schema: unknown, path: readonly string[]): InputPlace[] {
  const { properties = {}, takes } = node.safeParse(schema).data ?? { takes: undefined };
  const own = kinds.safeParse(takes);
  if (own.success) return [{ path, takes: own.data }];
  if (path.length >= deepest) return [];
  return Object.entries(properties).flatMap(([name, child]) => placesIn(child, [...path, name]));
}
