import { connect } from "node:net";
import { expect, it } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { createLogger } from "./log.ts";

async function lineOf(error: unknown, level = "info"): Promise<{ text: string; error: unknown }> {
  const lines: string[] = [];
  const output = { dropped: 0, write: (line: string | Uint8Array) => lines.push(String(line)) > 0 };
  (await createLogger({ level, format: "json" }, {}, output)).warn({ error }, "delivery failed");
  expect(lines).toHaveLength(1);
  const [text = ""] = lines;
  return { text, error: JSON.parse(text).error };
}

async function refusedConnection(): Promise<unknown> {
  return await new Promise((resolve) => connect({ port: 1, host: "127.0.0.1" }).on("error", resolve));
}

it("says of a foreseen error what it is and why, in one line without a stack", async () => {
  const cause = new TypeError("fetch failed", { cause: await refusedConnection() });
  const error = new CodedError("CALLBACK_UNREACHABLE", "The callback endpoint does not answer.", { cause });
  const line = await lineOf(error);
  expect(line.error).toEqual({
    code: "CALLBACK_UNREACHABLE",
    message: "The callback endpoint does not answer.",
    cause: "fetch failed: connect ECONNREFUSED 127.0.0.1:1",
  });
  expect(await lineOf(await refusedConnection())).toMatchObject({ error: { code: "ECONNREFUSED" } });
  expect(line.text).not.toContain("    at ");
});

it("keeps the stack of what nobody foresaw, and of everything while somebody looks for a mistake", async () => {
  for (const error of [new TypeError("x is undefined"), new CodedError("INTERNAL", "no such row")])
    expect(await lineOf(error)).toMatchObject({ error: { stack: expect.stringContaining("    at ") } });
  const foreseen = new CodedError("QUEUE_UNREACHABLE", "Redis does not answer.");
  expect(await lineOf(foreseen, "debug")).toMatchObject({ error: { stack: expect.stringContaining("    at ") } });
});

it("leaves what is no error as it is", async () => {
  expect(await lineOf({ code: "TIMED_OUT", message: "too long" })).toMatchObject({ error: { code: "TIMED_OUT" } });
});
