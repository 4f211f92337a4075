import { expect, it } from "vitest";
import { codeFrame, codePlace, placeText } from "./code-place.ts";

/** An error with the stack that Node.js would give it. */
function thrown(message: string, ...frames: readonly string[]): Error {
  const error = new TypeError(message);
  error.stack = [`TypeError: ${message}`, ...frames.map((frame) => `    at ${frame}`)].join("\n");
  return error;
}

it("is the first place that is not of Node.js, a package, or what calls handlers", () => {
  const job = new URL("../executor/child/job-context.ts", import.meta.url);
  const error = thrown(
    "no",
    "parse (node:internal/x:1:2)",
    "z (file:///srv/app/node_modules/zod/index.js:9:9)",
    `async runHandler (${job}:97:16)`,
    "Object.run (file:///srv/app/handlers/my%20paint.ts?version=12-3:11:31)",
    "main (file:///srv/app/main.ts:1:1)",
  );
  expect(codePlace(error)).toEqual({ file: "/srv/app/handlers/my paint.ts", line: 11, column: 31 });
});

it.each([
  ["nothing of its own", thrown("no", "a (node:fs:1:2)")],
  ["no stack", Object.assign(new Error("no"), { stack: undefined })],
  ["no error", "a text"],
])("is null for what has %s", (_what, error) => {
  expect(codePlace(error)).toBeNull();
});

it("shows the lines around, with a mark that tabs do not move", () => {
  const file = import.meta.filename;
  expect(codeFrame({ file, line: 1, column: 10 })).toBe(
    [
      '> 1 | import { expect, it } from "vitest";',
      "    |          ^",
      '  2 | import { codeFrame, codePlace, placeText } from "./code-place.ts";',
      "  3 |",
    ].join("\n"),
  );
  expect(codeFrame({ file, line: 100_000, column: 1 })).toBe("");
  expect(codeFrame({ file: "/no/such/file.ts", line: 1, column: 1 })).toBe("");
  expect(placeText({ file: "a.ts", line: 3, column: null })).toBe("a.ts:3");
});
