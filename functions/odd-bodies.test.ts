import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { oddObject, oddValue } from "#test/support/odd-json.ts";
import { routes } from "./index.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";
import { validRequest } from "./testing/requests.ts";

/* Whatever JSON comes in, it is taken or refused in words: 500 is never the answer. */
let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
}, 60_000);
afterAll(() => container.stop());

const described = z.object({ properties: z.record(z.string(), z.unknown()).optional() }).catch({});
const namesIn = (schema: z.ZodType, place?: string) => {
  const { properties = {} } = described.parse(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }));
  const inside = place === undefined ? properties : (described.parse(properties[place]).properties ?? {});
  return [...Object.keys(inside), "metadata", "config", "messages"];
};

/** Of any kind, and such as it takes but for some fields. */
function bodies(schema: z.ZodType, good: unknown): fc.Arbitrary<unknown> {
  const changed = oddObject(namesIn(schema)).map((odd) => ({ ...Object(good), ...odd }));
  return fc.oneof({ weight: 1, arbitrary: oddValue }, { weight: 4, arbitrary: changed });
}

async function send(method: string, path: string, body: unknown): Promise<void> {
  // Nothing is waited for.
  const headers = { Prefer: "respond-async", "Idempotency-Key": crypto.randomUUID() };
  const { status, text } = await container.call(method, path, { body: JSON.stringify(body) ?? "", headers });
  expect(status, text).not.toBe(500);
}

const withBody = routes.flatMap((route) => (route.body === undefined ? [] : [{ ...route, body: route.body }]));

describe.each(withBody.map((route) => [`${route.method} ${route.path}`, route] as const))("%s", (_name, route) => {
  test("is never answered with 500", { timeout: 60_000 }, async () => {
    const good = await validRequest(route, container);
    const query = good.query.size === 0 ? "" : `?${good.query}`;
    const property = fc.asyncProperty(bodies(route.body, good.body), (body) =>
      send(route.method, `${good.path}${query}`, body),
    );
    await fc.assert(property, { numRuns: 150 });
  });
});

const requestNames = ["input", "webhook", "policy", "s3Config"];
const inputNames = [
  "id",
  "type",
  "job_type",
  "user_id",
  "prompt",
  "config",
  "metadata",
  "webhook_url",
  "depends_on",
  "size",
];

test.each(["run", "runsync"])("an endpoint never answers %s with 500", { timeout: 60_000 }, async (operation) => {
  const input = oddObject(inputNames, ["gated", "a lake", 1]).map((odd) => ({ prompt: "a lake", ...odd }));
  const body = fc.oneof(
    oddValue,
    oddObject(requestNames).map((odd) => ({ input: { prompt: "a lake" }, ...odd })),
    input.map((given) => ({ input: given })),
  );
  const path = `/v2/gated/${operation}?wait=1000`;
  await fc.assert(
    fc.asyncProperty(body, (given) => send("POST", path, given)),
    { numRuns: 150 },
  );
});
