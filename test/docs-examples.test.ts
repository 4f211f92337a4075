import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

/* What the pages say is what runs: whole examples are files that tests use. */

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), "utf8");

test("the whole handler of docs/3-handlers.md is the one that the console is tested with", async () => {
  const [, example] = /```ts\n\/\/ handlers\/stripes\.ts\n(.*?)```/s.exec(await read("docs/3-handlers.md")) ?? [];
  expect(example).toBe(await read("test/support/console-handlers/stripes.ts"));
});
