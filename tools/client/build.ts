import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import manifest from "../../package.json" with { type: "json" };

/*
 * Writes the client to dist/client/ as apps take it: a package of its own, one module for browsers and Node, with its
 * types. It has nothing of the container in it, and of the routes' schemas the types alone.
 */
const projectFolder = resolve(import.meta.dirname, "../..");
const target = join(projectFolder, "dist/client");

const published = {
  name: "ourvidz-client",
  version: manifest.version,
  license: manifest.license,
  type: "module",
  sideEffects: false,
  exports: { ".": { types: "./types/client/client.d.ts", default: "./client.js" } },
  // Types name each other as the sources do.
  imports: {
    "#functions/*.ts": { types: "./types/functions/*.d.ts" },
    "#contract/*.ts": { types: "./types/supabase/functions/_shared/*.d.ts" },
  },
  dependencies: { zod: manifest.dependencies.zod },
};

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
await Promise.all([bundle(), emitTypes()]);
await writeFile(join(target, "package.json"), `${JSON.stringify(published, null, 2)}\n`);

async function bundle(): Promise<void> {
  await build({
    absWorkingDir: projectFolder,
    entryPoints: ["client/client.ts"],
    outfile: join(target, "client.js"),
    bundle: true,
    format: "esm",
    platform: "neutral",
    // The client's own dependency comes along; `zod` would be a mistake, as only its types are used.
    mainFields: ["module", "main"],
    external: ["zod"],
    target: "es2023",
    logLevel: "warning",
  });
}

async function emitTypes(): Promise<void> {
  const tsc = join(projectFolder, "node_modules/.bin/tsc");
  await promisify(execFile)(tsc, ["-p", join(projectFolder, "client"), "--outDir", join(target, "types")]);
}
