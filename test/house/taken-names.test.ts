import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";

const folder = resolve(import.meta.dirname, "../../supabase/migrations");
const files = globSync("*.sql", { cwd: folder }).toSorted();
const read = (file: string) => readFileSync(join(folder, file), "utf8");
const found = (text: string, pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map(([, name = ""]) => name))];
const listed = (text: string, kind: string) =>
  found(new RegExp(`${kind} constant text\\[\\] := array\\[([^\\]]*)\\]`).exec(text)?.[1] ?? "", /'(\w+)'/g);

it("every function and view in public is looked for before the first migration that makes it replaces somebody else's", () => {
  const looked = new Set<string>();
  const unchecked: string[] = [];
  for (const file of files) {
    const text = read(file);
    for (const name of [...listed(text, "functions"), ...listed(text, "views")]) looked.add(name);
    for (const name of found(text, /create or replace (?:function|view) public\.(\w+)/g))
      if (!looked.has(name)) unchecked.push(`${file}: ${name}`);
  }
  expect(unchecked).toEqual([]);
});

it("no name is looked for that no migration makes", () => {
  const all = files.map(read);
  const made = found(all.join("\n"), /create or replace (?:function|view) public\.(\w+)/g);
  const looked = all.flatMap((text) => [...listed(text, "functions"), ...listed(text, "views")]);
  expect(looked.toSorted()).toEqual(made.toSorted());
});
