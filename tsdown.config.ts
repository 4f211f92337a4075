import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { defineConfig } from "tsdown";
import manifest from "./package.json" with { type: "json" };

const { version, license, dependencies } = manifest;

/**
 * The client as apps take it: a package of its own, one module for browsers and Node, with its types. It has nothing of
 * the container in it, and of its schemas the types alone.
 */
export default defineConfig({
  entry: ["client/client.ts"],
  outDir: "dist/client",
  tsconfig: "client/tsconfig.json",
  platform: "neutral",
  target: "es2023",
  dts: true,
  deps: { alwaysBundle: ["eventsource-parser"] },
  hooks: {
    "build:done": ({ options }) =>
      writeFile(
        join(options.outDir, "package.json"),
        `${JSON.stringify(
          {
            name: "ourvidz-client",
            version,
            license,
            type: "module",
            sideEffects: false,
            exports: { ".": { types: "./client.d.ts", default: "./client.js" } },
            dependencies: { zod: dependencies.zod },
          },
          null,
          2,
        )}\n`,
      ),
  },
});
