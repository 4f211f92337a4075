import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { schemaText } from "./docs/schema-text.ts";
import { routes } from "./index.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
let page: string;
beforeAll(async () => {
  container = await startContainer();
  page = (await container.call("GET", "/docs")).text;
});
afterAll(() => container.stop());

it("shows every route and every job type", () => {
  for (const { path, summary } of routes) {
    expect(page).toContain(`<code class="path">${path.replace(/:(\w+)/g, "{$1}").replace("*", "{path}")}</code>`);
    expect(page).toContain(summary.replaceAll("'", "&#39;"));
  }
  expect(page).toContain('id="job.gated"');
});

it("every link leads to something on the page or to this container", () => {
  const targets = [...page.matchAll(/href="([^"]*)"/g)].map(([, href = ""]) => href);
  const ids = new Set([...page.matchAll(/id="([^"]*)"/g)].map(([, id]) => id));
  expect(targets.length).toBeGreaterThan(routes.length);
  for (const href of targets) expect(href === "openapi.json" || ids.has(href.slice(1)), href).toBe(true);
});

it("loads nothing and runs nothing, and its policy allows its one style sheet", async () => {
  expect(page).not.toMatch(/<script|<img|<link|<iframe|@import|src=|url\(/);
  const styles = [...page.matchAll(/<style>([\s\S]*?)<\/style>/g)].map(([, css = ""]) => css);
  expect(styles).toHaveLength(1);
  const digest = createHash("sha256")
    .update(styles[0] ?? "")
    .digest("base64");
  const { headers } = await container.call("GET", "/docs");
  expect(headers.get("content-security-policy")).toContain(`'sha256-${digest}'`);
  expect(headers.get("content-type")).toBe("text/html; charset=utf-8");
});

it.each([
  [{ type: "integer", minimum: 1, maximum: 150 }, "integer, 1 to 150"],
  [{ type: "number", multipleOf: 8, minimum: 64, maximum: 2048 }, "number, 64 to 2,048, a multiple of 8"],
  [{ type: "string", enum: ["txt2img", "img2img"] }, '"txt2img" or "img2img"'],
  [{ type: "string", maxLength: 8000 }, "text, at most 8,000 characters"],
  [{ const: "gated" }, '"gated"'],
  [{ type: ["string", "number", "null"] }, "text, number or null"],
  [{ type: "array", items: { $ref: "#/components/schemas/Job" } }, "list of Job"],
  [{ anyOf: [{ type: "string" }, { type: "null" }] }, "text or null"],
  [{ type: "boolean", default: false }, "true or false, false when left out"],
  [{}, "anything"],
  [undefined, "anything"],
])("%j is described as %j", (schema, text) => expect(schemaText(schema)).toBe(text));
