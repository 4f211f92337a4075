import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";

const folder = resolve(import.meta.dirname, "../../supabase/migrations");
const files = globSync("*.sql", { cwd: folder }).toSorted();
const read = (file: string) => readFileSync(join(folder, file), "utf8");
const found = (text: string, pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map(([, name = ""]) => name))];
const listed = (text: string, kind: string) =>
  found(new RegExp(`${kind} constant text\\[\\] := array\\[([^\\]]*)\\]`).exec(text)?.[1] ?? "", /'(\w+)'/g);

/** The last with one list, of an empty project's names: whoever comes from there has only those of their own file looked for. */
const lastOfOneList = "20261128004800_presets.sql";
const made = (text: string) => found(text, /create or replace (?:function|view) public\.(\w+)/g);
const looksFor = (text: string) => [...listed(text, "functions"), ...listed(text, "views")];

it("every function and view in public is looked for before the first migration that makes it replaces somebody else's", () => {
  const known = new Set(looksFor(read("20261128003000_own_schema.sql")));
  const unchecked: string[] = [];
  const before = new Set<string>();
  for (const file of files) {
    const text = read(file);
    const looked = new Set([...looksFor(text), ...(file > lastOfOneList ? [] : known)]);
    for (const name of made(text)) if (!before.has(name) && !looked.has(name)) unchecked.push(`${file}: ${name}`);
    for (const name of made(text)) before.add(name);
  }
  expect(unchecked).toEqual([]);
});

it("no name is looked for that no migration makes", () => {
  const all = files.map(read);
  expect([...new Set(all.flatMap(looksFor))].toSorted()).toEqual(
    found(all.join("\n"), /create or replace (?:function|view) public\.(\w+)/g).toSorted(),
  );
});
