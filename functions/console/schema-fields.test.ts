import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { z } from "zod";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { jobSchema, parametersSchema } from "../jobs/job-schema.ts";

interface Group {
  readonly fields: readonly { readonly path: readonly string[] }[];
}

/** The browser's own module has no types here. */
const module = z.object({
  fieldGroups: z.custom<(type: object, models: readonly object[]) => readonly Group[]>(
    (value) => typeof value === "function",
  ),
});

it("gives jobs with references fields for them, and none for what only the queue reads", async () => {
  const registry = await loadHandlers(fileURLToPath(new URL("../../handlers", import.meta.url)));
  const handler = registry.get("sdxl_image_fast");
  if (handler === undefined) throw new Error("there is no sdxl_image_fast");
  const type = { schema: jobSchema(handler), parameters: parametersSchema(handler), model: "sdxl" };
  const { fieldGroups } = module.parse(await import(new URL("./browser/schema-fields.js", import.meta.url).href));
  const names = fieldGroups(type, []).flatMap(({ fields }) => fields.map(({ path }) => path.join(".")));
  expect(names).toEqual(
    expect.arrayContaining([
      "config.mask_image_url",
      "config.control_type",
      "config.guess_mode",
      "config.denoise_strength",
      "config.reference_fit",
      "metadata.reference_image_url",
      "metadata.reference_type",
      "metadata.exact_copy_mode",
    ]),
  );
  expect(names).not.toContain("config.expected_time");
});
