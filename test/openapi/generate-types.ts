import { registerHooks } from "node:module";

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "typescript" && context.parentURL?.includes("/openapi-typescript/")
      ? { url: new URL("./typescript-api.ts", import.meta.url).href, shortCircuit: true }
      : next(specifier, context),
});

/**
 * The types that openapi-typescript makes of a description, as one file. A field that has a default need not be given,
 * which the generator takes for the other way round unless it is told.
 * @throws when it refuses the description
 */
export async function generateTypes(document: string): Promise<string> {
  const { default: openapiTypescript, astToString } = await import("openapi-typescript");
  return astToString(await openapiTypescript(document, { silent: true, defaultNonNullable: false }));
}
