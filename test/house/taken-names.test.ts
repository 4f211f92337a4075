import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";

const folder = resolve(import.meta.dirname, "../../supabase/migrations");
const read = (file: string) => readFileSync(join(folder, file), "utf8");
const found = (text: string, pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map(([, name = ""]) => name))];

it("the migration that looks for taken names knows every function and view that is made in public", () => {
  const all = globSync("*.sql", { cwd: folder }).map(read).join("\n");
  const check = read("20261128003000_own_schema.sql");
  const listed = (kind: string) =>
    found(new RegExp(`${kind} constant text\\[\\] := array\\[([^\\]]*)\\]`).exec(check)?.[1] ?? "", /'(\w+)'/g);
  const functions = found(all, /create or replace function public\.(\w+)/g);
  const views = found(all, /create or replace view public\.(\w+)/g);
  expect(listed("functions").toSorted()).toEqual(functions.toSorted());
  expect(listed("views").toSorted()).toEqual(views.toSorted());
});
