import { expect, it } from "vitest";
import { CodedError, type ErrorCode, errorStatus } from "#contract/errors.ts";
import { errorResponse, HttpError } from "./errors.ts";

it.each(Object.entries(errorStatus))("%s becomes status %i", async (code, status) => {
  const error = new CodedError(code as ErrorCode, "a sentence");
  const response = errorResponse(error);
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ success: false, code });
});

it("carries details and headers, and a status of its own where HTTP has a better one", async () => {
  const response = errorResponse(
    new HttpError("METHOD_NOT_ALLOWED", "use GET", { headers: { Allow: "GET" }, details: { given: "PUT" } }),
  );
  expect(response.status).toBe(405);
  expect(response.headers.get("allow")).toBe("GET");
  expect(await response.json()).toEqual({
    success: false,
    error: "use GET",
    code: "METHOD_NOT_ALLOWED",
    details: { given: "PUT" },
  });
});

it.each([
  new Error("connect ECONNREFUSED https://user:pw@db.internal/?token=abc"),
  new CodedError("INTERNAL", "column secret_token is missing"),
  "a text",
  undefined,
])("reveals nothing of an unforeseen error: %s", async (error) => {
  const response = errorResponse(error);
  expect(response.status).toBe(500);
  expect(await response.json()).toEqual({
    success: false,
    error: "The container failed to answer this request; its log says why, under the request's id.",
    code: "INTERNAL",
  });
});

it("does not give secrets away", async () => {
  const error = new HttpError("INVALID_JOB", "reference https://files.test/a.png?token=abc123 is not there", {
    details: { headers: { authorization: "Bearer abcdefgh12345678" } },
  });
  const text = await errorResponse(error).text();
  expect(text).not.toContain("abc123");
  expect(text).not.toContain("abcdefgh12345678");
});
