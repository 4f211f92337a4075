import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { runTool } from "../client/build.ts";
import { generateTypes } from "./generate-types.ts";

/* What other people's tools make of /openapi.json, with the job types that ship. */

let container: TestContainer;
let text: string;

beforeAll(async () => {
  container = await startContainer({ HANDLERS_DIR: resolve(import.meta.dirname, "../../handlers") });
  container.runtime.dispatcher.pause();
  text = (await container.call("GET", "/openapi.json")).text;
}, 60_000);
afterAll(() => container.stop());

const content = z.record(
  z.string(),
  z.object({ examples: z.record(z.string(), z.object({ value: z.unknown() })).optional() }),
);
const operation = z.object({ requestBody: z.object({ content }).optional() });
const document = z.object({
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.object({ schemas: z.record(z.string(), z.record(z.string(), z.unknown())) }),
});

it("openapi-typescript makes types of it that compile, with the fields of jobs and errors", async () => {
  const types = await generateTypes(text);
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-openapi-"));
  await writeFile(join(folder, "api.ts"), types);
  await writeFile(
    join(folder, "use.ts"),
    `import type { components, paths } from "./api";
export const error: components["schemas"]["Error"] = { success: false, error: "It is full.", code: "QUEUE_FULL" };
export const job: paths["/jobs"]["post"]["requestBody"]["content"]["application/json"] =
  { type: "sdxl_image_fast", prompt: "a lighthouse at dawn", config: { seed: 42 } };
export const any: components["schemas"]["NewJob"] = job;
export const id = (accepted: components["schemas"]["Accepted"]): string => accepted.job_id;
// @ts-expect-error a word is no number of steps
export const wrong: components["schemas"]["job.sdxl_generate"] = { type: "sdxl_generate", config: { num_inference_steps: "two", guidance_scale: 7 } };
`,
  );
  const options = ["--strict", "--noEmit", "--moduleResolution", "bundler", "--module", "esnext", "--types", ""];
  expect(await runTool("tsc", [...options, join(folder, "use.ts")], folder)).toBe("");
  await rm(folder, { recursive: true });
}, 120_000);

it("no schema is only a reference, and no integer is said to be one by its limits", () => {
  const { components } = document.parse(JSON.parse(text));
  expect(Object.keys(components.schemas)).toEqual(
    expect.arrayContaining(["Accepted", "Error", "Gpu", "Job", "NewJob"]),
  );
  for (const [name, schema] of Object.entries(components.schemas))
    expect(schema, name).toHaveProperty(name === "NewJob" ? "oneOf" : "properties");
  expect(text).not.toContain("9007199254740991");
});

/** The container is paused: jobs wait, the language model is not asked, and there are no ends to be reported. */
function taken(path: string): number[] {
  if (path === "/outbox/give-up") return [404];
  return /^\/(chat|enhance|v1)/.test(path) ? [503] : [200, 202];
}

describe("every body that is shown as an example", () => {
  let waiting: string;

  beforeAll(async () => {
    const body = { type: "sdxl_image_fast", prompt: "a lake" };
    waiting = JSON.parse((await container.call("POST", "/jobs", { body })).text).job_id;
  });

  it("is taken when it is sent", async () => {
    const { paths } = document.parse(JSON.parse(text));
    const bodies = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).flatMap(([method, { requestBody }]) =>
        Object.entries(requestBody?.content["application/json"]?.examples ?? {}).map(
          ([name, { value: body }]) => [`${method} ${path} ${name}`, method.toUpperCase(), path, body] as const,
        ),
      ),
    );
    expect(bodies.map(([name]) => name)).toEqual(
      expect.arrayContaining(["post /jobs sdxl_image_fast", "post /generate sdxl_generate"]),
    );
    for (const [name, method, path, body] of bodies) {
      const answer = await container.call(method, path.replace("{id}", waiting), {
        body,
        headers: { Prefer: "respond-async" },
      });
      expect(taken(path), `${name}: ${answer.text}`).toContain(answer.status);
    }
  });

  it("stands in the page of the documentation, to be pasted", async () => {
    const { text: page } = await container.call("GET", "/docs");
    const commands = [...page.matchAll(/<pre><code>([\s\S]*?)<\/code><\/pre>/g)].map(([, code = ""]) =>
      unescaped(code),
    );
    const requests = commands.flatMap((command) => {
      const [, path, body] = /https?:\/\/[^/\s']+(\/[^\s']*).* -d '(.*)'$/s.exec(command) ?? [];
      const [, method = "POST"] = /-X ([A-Z]+)/.exec(command) ?? [];
      return path === undefined || body === undefined ? [] : [{ method, path: path.replace("{id}", waiting), body }];
    });
    expect(requests.length).toBeGreaterThanOrEqual(2);
    for (const { method, path, body } of requests) {
      const answer = await container.call(method, path, { body, headers: { Prefer: "respond-async" } });
      expect(taken(path), `${path} ${body}: ${answer.text}`).toContain(answer.status);
    }
    expect(commands.join("\n")).not.toContain("…");
  });
});

function unescaped(html: string): string {
  return html.replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&amp;", "&");
}
