import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { parameterSynonyms } from "#contract/synonyms.ts";
import { pagesWithTables, withTables } from "../tools/generate/parameter-tables.ts";

/* What the pages say is what runs: whole examples are files that tests use. */

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), "utf8");

test("the whole handler of docs/3-handlers.md is the one that the console is tested with", async () => {
  const [, example] = /```ts\n\/\/ handlers\/stripes\.ts\n(.*?)```/s.exec(await read("docs/3-handlers.md")) ?? [];
  expect(example).toBe(await read("test/support/console-handlers/stripes.ts"));
});

test.each(pagesWithTables)("the tables of parameters in %s are what the handlers declare", async (file) => {
  const page = await readFile(file, "utf8");
  expect(page).toMatch(/<!-- parameters: /);
  expect(await withTables(page), "run node tools/generate/parameter-tables.ts").toBe(page);
});

test("docs/7-wire-contract.md has all names of every parameter", async () => {
  const page = await read("docs/7-wire-contract.md");
  for (const [name, ...others] of parameterSynonyms) {
    expect(page).toContain(`| \`${name}\` | ${others.map((other) => `\`${other}\``).join(", ")} |`);
  }
});
