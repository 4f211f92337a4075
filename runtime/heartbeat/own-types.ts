import { z } from "zod";
import type { Handler } from "#contract/handler.ts";
import { isJobType } from "#contract/job-types.ts";
import { maxSchemaCharacters, type RegisteredType, registeredType } from "#contract/registration.ts";

const maxRegisteredTypes = 100;
/** Of all types together, in a registration of at most 1,048,576 bytes. */
const maxSchemasCharacters = 400_000;

const objectSchema = z.looseObject({ required: z.array(z.string()).default([]) });

/**
 * What the app needs to know of the handlers that it does not have in its contract. Those of the contract are left out: its
 * doors check them by its own schemas. So are names that the app does not take, and schemas beyond what one registration holds:
 * a registration is refused as a whole.
 */
export function ownTypes(handlers: readonly Handler[]): RegisteredType[] {
  let characters = 0;
  return handlers
    .filter(({ type }) => !isJobType(type))
    .map(({ type, worker, produces, parameters, defaults = {} }) => ({
      type,
      worker,
      content_type: produces,
      bucket: type,
      ...(parameters === undefined ? {} : schemaOf(parameters, defaults)),
    }))
    .filter((type) => registeredType.safeParse(type).success)
    .toSorted((one, other) => one.type.localeCompare(other.type))
    .slice(0, maxRegisteredTypes)
    .map(({ parameters, ...type }) => {
      characters += JSON.stringify(parameters ?? {}).length;
      return parameters === undefined || characters > maxSchemasCharacters ? type : { ...type, parameters };
    });
}

/** What a job may leave out because the handler has a value for it is not required. A schema that is too long is left out. */
function schemaOf(
  parameters: z.ZodObject,
  defaults: Readonly<Record<string, unknown>>,
): Pick<RegisteredType, "parameters"> {
  const { $schema, required, ...rest } = objectSchema.parse(
    z.toJSONSchema(parameters, { io: "input", unrepresentable: "any" }),
  );
  const wanted = required.filter((name) => !Object.hasOwn(defaults, name));
  const schema = { ...rest, required: wanted, additionalProperties: true };
  return JSON.stringify(schema).length > maxSchemaCharacters ? {} : { parameters: schema };
}
