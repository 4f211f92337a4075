import { expect, it } from "vitest";
import { defineHandler, type Handler, z } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";
import { maxSchemaCharacters } from "#contract/registration.ts";
import { ownTypes } from "./own-types.ts";

function handler(type: string, parameters?: z.ZodObject, defaults?: Handler["defaults"]): Handler {
  return defineHandler({
    type,
    worker: "media",
    produces: "image",
    input: jobEnvelope,
    ...(parameters === undefined ? {} : { parameters }),
    ...(defaults === undefined ? {} : { defaults }),
    retry: { maxAttempts: 1, timeoutSeconds: 10 },
    run: async () => ({}),
  });
}

it("has the types that the contract does not have, with what their config takes", () => {
  const parameters = z.object({ height: z.number().min(1).max(9), colour: z.string() });
  expect(
    ownTypes([handler("tide", parameters, { colour: "blue" }), handler("ebb"), handler("sdxl_image_fast")]),
  ).toEqual([
    { type: "ebb", worker: "media", content_type: "image", bucket: "ebb" },
    {
      type: "tide",
      worker: "media",
      content_type: "image",
      bucket: "tide",
      parameters: {
        type: "object",
        properties: { height: { type: "number", minimum: 1, maximum: 9 }, colour: { type: "string" } },
        required: ["height"],
        additionalProperties: true,
      },
    },
  ]);
});

it("leaves a schema out that is too long: the container checks its jobs all the same", () => {
  const long = z.object({ height: z.number().describe("x".repeat(maxSchemaCharacters)) });
  expect(ownTypes([handler("tide", long)])).toEqual([
    { type: "tide", worker: "media", content_type: "image", bucket: "tide" },
  ]);
});
