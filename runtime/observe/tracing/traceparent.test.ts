import { expect, it } from "vitest";
import { formatTraceparent, parseTraceparent, traceFields, traceparentOf } from "./traceparent.ts";

const valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

it("reads what the specification gives as an example, and writes it back", () => {
  const context = parseTraceparent(valid);
  expect(context).toEqual({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", flags: 1 });
  expect(context && formatTraceparent(context)).toBe(valid);
  expect(traceparentOf({ traceparent: valid })).toBe(valid);
  expect(traceFields({ traceparent: valid })).toEqual({ trace_id: "0af7651916cd43dd8448eb211c80319c" });
});

it.each([
  undefined,
  null,
  7,
  "",
  ` ${valid}`,
  `${valid}\n`,
  `${valid}-00`,
  valid.toUpperCase(),
  valid.replace(/^00/, "01"),
  valid.replace(/^00/, "ff"),
  valid.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32)),
  valid.replace("b7ad6b7169203331", "0".repeat(16)),
  valid.replace("b7ad6b7169203331", "b7ad6b716920333"),
])("takes %j for no trace context", (traceparent) => {
  expect(parseTraceparent(traceparent)).toBeNull();
  expect(traceparentOf({ traceparent })).toBeUndefined();
  expect(traceFields({ traceparent })).toEqual({});
});
