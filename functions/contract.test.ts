import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { noContent } from "./api/declare.ts";
import { errorBody } from "./api/schemas/errors.ts";
import { openAiErrorBody } from "./chat/openai-errors.ts";
import { eventStreamType } from "./http/event-stream.ts";
import type { Route } from "./http/route.ts";
import { routes } from "./index.ts";
import { documentedErrors } from "./openapi/documented-errors.ts";
import { startContainer, type TestAnswer, type TestContainer, testKey } from "./testing/container.ts";
import { type TestRequest, validRequest, wrongRequests } from "./testing/requests.ts";

/* What is written down about every route is what it does: with each key, and with each field wrong. */
const keys = { "no key": {}, "a wrong key": { Authorization: "Bearer wrong-key-for-tests" }, "the key": bearer() };

function bearer() {
  return { Authorization: `Bearer ${testKey}` };
}

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer({ WAN_WORKER_API_KEY: testKey });
  const isReady = async () => expect((await container.call("GET", "/ready")).status).toBe(200);
  await vi.waitFor(isReady, { timeout: 20_000 });
});
afterAll(() => container.stop());

function send(route: Route, request: TestRequest, key: Record<string, string>): Promise<TestAnswer> {
  const query = request.query.size === 0 ? "" : `?${request.query}`;
  const { body, headers } = request;
  return container.call(route.method, `${request.path}${query}`, {
    headers: { ...headers, ...key },
    ...(body === undefined ? {} : { body }),
  });
}

/** The answer has a status that is written down, and the shape that is written down for it. */
function expectDocumented(route: Route, { status, headers, json, text }: TestAnswer): void {
  const schema = route.responses[status];
  if (schema === undefined) {
    expect([...documentedErrors(route).keys()], `${status}: ${text.slice(0, 300)}`).toContain(status);
    expect(headers.get("content-type")).toMatch(/^application\/json/);
    if (route.errorForm !== undefined) {
      expect(documentedErrors(route).get(status)).toContain(openAiErrorBody.parse(json).error.code);
      return;
    }
    expect(errorBody.parse(json)).toEqual(json);
    expect(documentedErrors(route).get(status)).toContain(errorBody.parse(json).code);
    return;
  }
  if (schema === noContent) expect(text).toBe("");
  else if (route.produces === eventStreamType)
    for (const data of eventData(text)) expect(schema.parse(data)).toEqual(data);
  else if (route.produces === undefined) expect(schema.parse(json)).toEqual(json);
  // Of a file, the type is its own.
  else if (route.access !== "signed") expect(headers.get("content-type")).toContain(route.produces);
}

function eventData(text: string): unknown[] {
  return text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6))] : []));
}

const errorBodyOf = (route: Route) => route.errorForm?.schema ?? errorBody;
const isOpen = (route: Route) => route.access === "open" || route.access === "signed";
/** No language model is in this container and nothing in its outbox, and the routes say so: see chat.test.ts and outbox.test.ts. */
const answersOf = ({ responses, errors, path }: Route) =>
  Object.keys(responses).concat(
    errors?.includes("CALL_NOT_OFFERED") ? ["422"] : [],
    ["/v1/models/:id", "/outbox/give-up"].includes(path) ? ["404"] : [],
  );
const named = routes.map((route) => [`${route.method} ${route.path}`, route] as const);

describe.each(named)("%s", (_name, route) => {
  it.each(Object.entries(keys))("with %s, all else right", async (name, key) => {
    const answer = await send(route, await validRequest(route, container), key);
    if (isOpen(route) || name === "the key") {
      expect(answersOf(route), answer.text.slice(0, 300)).toContain(String(answer.status));
    } else {
      expect(answer.status).toBe(401);
    }
    expectDocumented(route, answer);
  });

  it("with each field wrong, whatever the key", async () => {
    const good = await validRequest(route, container);
    for (const wrong of wrongRequests(route, good, container)) {
      for (const [name, key] of Object.entries(keys)) {
        const answer = await send(route, wrong, key);
        if (wrong.place === "path") {
          expect(answer.status).toBeLessThan(500);
          // Dots are resolved before a request is sent: it then is one of another route, or of none.
          if (!wrong.path.includes(".."))
            expect(errorBodyOf(route).parse(answer.json), wrong.path.slice(0, 100)).toEqual(answer.json);
          continue;
        }
        expectDocumented(route, answer);
        if (!isOpen(route) && name !== "the key") expect(answer.status).toBe(401);
        else expectRefused(answer, wrong.field, refusalOf(route, wrong.place));
      }
    }
  });

  it("says of every status what it means", () => {
    for (const status of [...Object.keys(route.responses), ...documentedErrors(route).keys()])
      expect(Number(status)).toSatisfy((code: number) => code >= 200 && code < 600);
  });
});

const problems = z.object({ details: z.array(z.object({ field: z.string(), message: z.string() })) });

/** What is wrong with a job is 422; with any other request, 400. */
function refusalOf(route: Route, place: "query" | "body"): 400 | 422 {
  return place === "body" && route.takesJob ? 422 : 400;
}

function expectRefused(answer: TestAnswer, field: string, status: 400 | 422): void {
  const shown = JSON.stringify(answer.json).slice(0, 400);
  if (field === "type") {
    expect([422, 400], shown).toContain(answer.status);
    return;
  }
  expect(answer.status, `${field}: ${shown}`).toBe(status);
  const isOpenAi = openAiErrorBody.safeParse(answer.json).data;
  const fields = isOpenAi
    ? [isOpenAi.error.param ?? ""]
    : problems.parse(answer.json).details.map((problem) => problem.field);
  expect(
    fields.some((each) => each === field || each.startsWith(`${field}.`)),
    `${field}: ${shown}`,
  ).toBe(true);
}
