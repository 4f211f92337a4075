import { expect, it } from "vitest";
import { z } from "zod";
import { routes } from "./index.ts";

it("has one route for each method and path", () => {
  const names = routes.map(({ method, path }) => `${method} ${path}`);
  expect(new Set(names).size).toBe(names.length);
});

it.each(routes.map((route) => [`${route.method} ${route.path}`, route] as const))(
  "%s can be described from its schemas",
  (_name, { path, params, query, body, responses, summary }) => {
    expect(summary).not.toBe("");
    for (const schema of [params, query, body]) {
      if (schema) expect(z.toJSONSchema(schema, { io: "input" })).toHaveProperty("type", "object");
    }
    const named = [...path.matchAll(/:(\w+)/g)].map((match) => match[1]);
    const described = params && z.toJSONSchema(params, { io: "input" }).properties;
    expect(Object.keys(described ?? {})).toEqual(named);
    for (const schema of Object.values(responses)) expect(() => z.toJSONSchema(schema, { io: "output" })).not.toThrow();
  },
);
