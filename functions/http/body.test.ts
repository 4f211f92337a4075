import { expect, it } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { readJson } from "./body.ts";

function post(body: string | Uint8Array | ReadableStream, headers: Record<string, string> = {}): Request {
  return new Request("http://localhost/", {
    method: "POST",
    body: body instanceof Uint8Array ? Buffer.from(body) : body,
    headers: { "Content-Type": "application/json", ...headers },
    duplex: "half",
  });
}

async function refusal(request: Request, limitBytes?: number): Promise<string> {
  const error: unknown = await readJson(request, limitBytes).catch((thrown: unknown) => thrown);
  return error instanceof CodedError
    ? `${error.status} ${error.code}: ${error.message}`
    : `no refusal: ${String(error)}`;
}

it.each(["application/json", "application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"])(
  "reads %s",
  async (type) => {
    expect(await readJson(post('{"a":[1,"ü"]}', { "Content-Type": type }))).toEqual({ a: [1, "ü"] });
  },
);

it.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""])(
  'refuses the content type "%s"',
  async (type) => {
    expect(await refusal(post("{}", { "Content-Type": type }))).toMatch(/^415 UNSUPPORTED_MEDIA_TYPE: Content-Type/);
  },
);

it("refuses a compressed body", async () => {
  expect(await refusal(post("{}", { "Content-Encoding": "gzip" }))).toMatch(/^415 .*"gzip"/);
});

it.each([
  ["", "the body is empty"],
  [" \n", "the body is empty"],
  ['{"prompt": "a la', "not valid JSON"],
  ["{'a': 1}", "not valid JSON"],
  ["NaN", "not valid JSON"],
  [Uint8Array.of(0x22, 0xff, 0x22), "not UTF-8"],
  ['{"a":{"__proto__":{"admin":true}}}', '"__proto__"'],
  ["[".repeat(40) + "]".repeat(40), "nested deeper than 32"],
  ["[".repeat(200_000), "nested deeper than 32"],
  [`${"[".repeat(200_000)}${"]".repeat(200_000)}`, "nested deeper than 32"],
])("refuses %j: %s", async (body, reason) => {
  const message = await refusal(post(body));
  expect(message).toMatch(/^400 INVALID_REQUEST: /);
  expect(message.toLowerCase()).toContain(reason.toLowerCase());
});

it.each([
  ["values in a list", `[${"0,".repeat(10_000)}0]`, "has more than 10,000 values"],
  ["empty lists", `[${"[],".repeat(5_000)}[]]`, "has more than 10,000 values"],
  [
    "names",
    JSON.stringify(Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [n, 0]))),
    "more than 1,000 names",
  ],
  ["the same name", `{${'"a":0,'.repeat(1000)}"a":0}`, "has more than 1,000 names in one object"],
])("refuses a body with too many %s", async (_what, body, reason) => {
  const message = await refusal(post(body));
  expect(message).toMatch(/^413 BODY_TOO_LARGE: The body /);
  expect(message).toContain(reason);
});

it("takes as many values as the limit, and any number of signs in texts", async () => {
  expect(await readJson(post(`[${"0,".repeat(9_998)}0]`))).toHaveLength(9_999);
  expect(await readJson(post(JSON.stringify(",:[{".repeat(100_000))))).toHaveLength(400_000);
});

it("takes a body of exactly the limit, and none that is a byte longer, declared or not", async () => {
  const exact = JSON.stringify("a".repeat(98));
  expect(await readJson(post(exact), 100)).toHaveLength(98);
  const longer = JSON.stringify("a".repeat(99));
  expect(await refusal(post(longer), 100)).toBe(
    "413 BODY_TOO_LARGE: The body is larger than 100 bytes, which is the limit: upload files, and send their addresses.",
  );
  expect(await refusal(post(longer, { "Content-Length": "101" }), 100)).toMatch(/^413/);
  expect(await refusal(post("{}", { "Content-Length": "101" }), 100)).toMatch(/^413/);
});

it("stops reading at the limit", async () => {
  let sent = 0;
  let cancelled = false;
  const endless = new ReadableStream({
    pull(controller) {
      sent += 10;
      controller.enqueue(new Uint8Array(10));
    },
    cancel() {
      cancelled = true;
    },
  });
  expect(await refusal(post(endless), 100)).toMatch(/^413/);
  expect(sent).toBeLessThan(200);
  expect(cancelled).toBe(true);
});

it("says that a body was cut off", async () => {
  const broken = new ReadableStream({
    pull(controller) {
      controller.error(new Error("connection reset by 10.0.0.1"));
    },
  });
  expect(await refusal(post(broken))).toBe("400 INVALID_REQUEST: The body ended before it was complete.");
});
