import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { routes } from "../index.ts";
import { startContainer, type TestContainer } from "../testing/container.ts";

let container: TestContainer;
let document: Record<string, unknown>;
beforeAll(async () => {
  container = await startContainer();
  const { status, json } = await container.call("GET", "/openapi.json");
  expect(status).toBe(200);
  document = z.record(z.string(), z.unknown()).parse(json);
});
afterAll(() => container.stop());

it("is valid OpenAPI 3.1, with every reference resolved", async () => {
  const validator = new Validator();
  const result = await validator.validate(structuredClone(document));
  expect(result.errors ?? []).toEqual([]);
  expect(result.valid).toBe(true);
  expect(validator.version).toBe("3.1");
  expect(JSON.stringify(validator.resolveRefs())).not.toContain('"$ref"');
});

it("describes every route, each once, with an id of its own", () => {
  const paths = z.record(z.string(), z.record(z.string(), z.object({ operationId: z.string() }))).parse(document.paths);
  const described = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const written = routes.map(
    ({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}").replace("*", "{path}")}`,
  );
  expect(described.toSorted()).toEqual(written.toSorted());
  const ids = Object.values(paths).flatMap((operations) => Object.values(operations).map((each) => each.operationId));
  expect(new Set(ids).size).toBe(ids.length);
});

it("gives errors the status, the names and the shape that clients of another protocol get", () => {
  const described = z.looseObject({ description: z.string() });
  const { paths } = z
    .object({
      paths: z.record(z.string(), z.record(z.string(), z.object({ responses: z.record(z.string(), described) }))),
    })
    .parse(document);
  const schemaOf = (id: string) => ({ "application/json": { schema: { $ref: `#/components/schemas/${id}` } } });
  const unknown = { description: "model_not_found", content: schemaOf("OpenAiError") };
  expect(paths["/v1/models/{id}"]?.get?.responses["404"]).toEqual(unknown);
  expect(paths["/v1/chat/completions"]?.post?.responses["404"]).toEqual(unknown);
  expect(paths["/test-compel"]?.post?.responses["422"]).toMatchObject({
    description: expect.stringContaining("MODEL_NOT_FOUND"),
    content: schemaOf("Error"),
  });
});

it("has the fields of this container's job types, and no id that must be given", () => {
  const schemas = z.record(z.string(), z.unknown());
  const { components } = z.object({ components: z.object({ schemas }) }).parse(document);
  expect(components.schemas["job.gated"]).toMatchObject({
    properties: {
      type: { const: "gated" },
      delay_seconds: { type: "number" },
      config: { properties: { size: { type: "integer", minimum: 1 } } },
    },
    required: ["type", "prompt"],
  });
});
