import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startContainerProcess } from "#test/support/container-process.ts";
import { sourceDefinitions } from "./index.ts";

/** Writes down every module that a process loads. */
const recorder = `
  import { appendFileSync } from "node:fs";
  import { registerHooks } from "node:module";
  registerHooks({
    load(url, context, next) {
      appendFileSync(process.env.LOADED_MODULES, url + "\\n");
      return next(url, context);
    },
  });`;

it("are all that a container loads of the sources that it does not use", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-definitions-"));
  // A killed container may still be writing into it for a moment.
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  const list = join(folder, "loaded");
  const container = startContainerProcess({
    DATA_DIR: folder,
    LOADED_MODULES: list,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(recorder)}`,
  });
  onTestFinished(() => container.kill());
  await expect.poll(container.log, { timeout: 30_000 }).toContain("the container is up");
  const loaded = (await readFile(list, "utf8")).split("\n").flatMap((url) => url.split("/runtime/sources/")[1] ?? []);
  expect(loaded).toContain("sqlite/sqlite-source.ts");
  const elsewhere = loaded.filter((file) => file.includes("/") && !file.startsWith("sqlite/"));
  // With the form of RunPod's addresses, by which its definition checks them: a leaf that loads nothing.
  const form = "runpod/protocol/url-templates.ts";
  expect(elsewhere.toSorted()).toEqual([
    "runpod/definition.ts",
    form,
    "supabase/definition.ts",
    "upstash/definition.ts",
  ]);
});

it("have variables that the documentation lists", async () => {
  const root = new URL("../../", import.meta.url);
  const page = await readFile(new URL("docs/6-configuration.md", root), "utf8");
  const example = await readFile(new URL(".env.example", root), "utf8");
  const variables = sourceDefinitions.flatMap((definition) => [...definition.variables, ...definition.needs]);
  expect(variables.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  expect(variables.filter((name) => !example.includes(`#${name}=`))).toEqual([]);
  expect(sourceDefinitions.map(({ name }) => name).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});
