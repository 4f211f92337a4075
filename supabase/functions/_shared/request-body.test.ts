import { expect, it } from "vitest";
import { parseJson } from "./request-body.ts";

const bytes = new TextEncoder().encode('{"prompt": a quiet lake}');

it("quotes nothing of a body that is no JSON, unless it is to", () => {
  expect(() => parseJson(bytes)).toThrow(/^The body is not valid JSON\.$/);
  expect(() => parseJson(bytes, { quotes: true })).toThrow(/^The body is not valid JSON: .*quiet la/);
});
