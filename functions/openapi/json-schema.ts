import { z } from "zod";
import type { JsonSchema } from "../jobs/job-schema.ts";

const converted = z.looseObject({
  $ref: z.string().optional(),
  $defs: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
});

/**
 * JSON schemas of zod ones, those that have an id (`.meta({ id })`) collected as components: they are written down once
 * and referred to.
 */
export class Components {
  readonly #schemas = new Map<string, JsonSchema>();

  /** The schema as it stands in the document, with references to `#/components/schemas`. */
  convert(schema: z.ZodType, io: "input" | "output"): JsonSchema {
    const { $schema, $defs = {}, ...root } = converted.parse(z.toJSONSchema(schema, { io, unrepresentable: "any" }));
    for (const [name, definition] of Object.entries($defs)) this.add(name, definition);
    const { id } = schema.meta() ?? {};
    // A schema with an id may come as a reference to its own definition, which is a component by now.
    return id === undefined || root.$ref !== undefined ? adapted(root) : this.add(id, root);
  }

  /** @returns a reference to it */
  add(name: string, schema: JsonSchema): JsonSchema {
    const { id, ...rest } = schema;
    this.#schemas.set(name, adapted(rest));
    return { $ref: `#/components/schemas/${name}` };
  }

  all(): Record<string, JsonSchema> {
    return Object.fromEntries([...this.#schemas].toSorted(([left], [right]) => left.localeCompare(right)));
  }
}

const anyObject = z.record(z.string(), z.unknown());

/** The same with its references to `#/$defs` led to the components, and without limits that only say "an integer". */
function adapted(schema: JsonSchema): JsonSchema {
  return anyObject.parse(
    JSON.parse(JSON.stringify(schema), (key, value: unknown) => {
      if (key === "$ref" && typeof value === "string") return value.replace("#/$defs/", "#/components/schemas/");
      if (key === "minimum" && value === Number.MIN_SAFE_INTEGER) return undefined;
      return key === "maximum" && value === Number.MAX_SAFE_INTEGER ? undefined : value;
    }),
  );
}
