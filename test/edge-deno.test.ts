import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { z } from "zod";
import { denoFlags, denoProgram } from "./support/supabase/edge.ts";

/* What keeps the functions deployable: they are whole within their folder, and Deno can check them. */
const repository = fileURLToPath(new URL("../", import.meta.url));
const folder = `${repository}supabase/functions/`;
const run = promisify(execFile);

const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
  .toSorted();
const names = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith("_"))
  .map(({ name }) => name)
  .toSorted();

const importMap = z
  .object({ imports: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(`${folder}deno.json`, "utf8"))).imports;
const { dependencies, devDependencies } = z
  .object({ dependencies: z.record(z.string(), z.string()), devDependencies: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(`${repository}package.json`, "utf8")));

/** What a module imports or passes on; imports at run time would not be deployed. */
function importsOf(file: string): string[] {
  const text = readFileSync(`${folder}${file}`, "utf8");
  const statements = text.matchAll(
    /^(?:import|export)\b[^;]*?\bfrom "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"/gm,
  );
  return [...statements].map((match) => match.slice(1).find((specifier) => specifier !== undefined) ?? "");
}

test("Deno checks every function, and what serves them in tests", { timeout: 180_000 }, async () => {
  const entries = [
    ...names.map((name) => `supabase/functions/${name}/index.ts`),
    "test/support/supabase/edge-server.ts",
  ];
  const checked = await run(denoProgram(), ["check", ...denoFlags, ...entries], { cwd: repository }).then(
    () => "checked",
    (error: { readonly stderr: string }) => error.stderr,
  );
  expect(checked).toBe("checked");
});

test("functions and contract import each other and what the import map names, nothing else", () => {
  const foreign = files.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => {
        if (!specifier.startsWith(".")) return !Object.hasOwn(importMap, specifier);
        return !new URL(specifier, `file:///functions/${file}`).href.startsWith("file:///functions/");
      })
      .map((specifier) => `${file}: ${specifier}`),
  );
  expect(foreign).toEqual([]);
});

test("the contract itself, which containers import too, needs only zod", () => {
  const contract = files.filter((file) => /^_shared\/[^/]+\.ts$/.test(file));
  expect(contract.length).toBeGreaterThan(20);
  const others = contract.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => specifier !== "zod" && !/^\.\/[^/]+$/.test(specifier))
      .map((specifier) => `${file}: ${specifier}`),
  );
  expect(others).toEqual([]);
});

test("Deno gets the packages in the versions that Node has", () => {
  const versions = { ...devDependencies, ...dependencies };
  for (const [name, specifier] of Object.entries(importMap)) expect(specifier).toBe(`npm:${name}@${versions[name]}`);
});

test("every function is configured to check its callers itself, and none is configured that is not there", () => {
  const config = readFileSync(`${repository}supabase/config.toml`, "utf8");
  const configured = [
    ...config.matchAll(/^\[functions\.([a-z-]+)\]\nverify_jwt = false\nimport_map = ".\/functions\/deno.json"$/gm),
  ];
  expect(configured.map(([, name]) => name).toSorted()).toEqual(names);
});

test("the example of their secrets names what they read, and nothing else", () => {
  const namesIn = (file: string, pattern: RegExp) =>
    [...readFileSync(`${folder}${file}`, "utf8").matchAll(pattern)].map(([, name]) => name).toSorted();
  const read = namesIn("_shared/edge/environment.ts", /^ {2}([A-Z][A-Z_]+): /gm);
  expect(namesIn(".env.example", /^#([A-Z_]+)=/gm)).toEqual(read.filter((name) => !name?.startsWith("SUPABASE_")));
});
