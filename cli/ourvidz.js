#!/usr/bin/env node
import process from "node:process";
import { fileURLToPath } from "node:url";

/*
 * Entry of the `ourvidz` command. It is JavaScript, and imports nothing before it is known that this Node can
 * run TypeScript, so that an older one says what to do instead of failing at a file's ending.
 *
 * The compile cache keeps compiled code from one start to the next, which makes a start several times quicker; the
 * executors inherit it. It lies in the project's own folder and not in the system's temporary one, because whoever can
 * write the cache decides what runs. Where the folder is read-only there is no cache, and nothing else changes.
 */
const oldestNode = 24;

if (Number.parseInt(process.versions.node, 10) < oldestNode) {
  process.stderr.write(
    `ourvidz needs Node.js ${oldestNode} or later and this is ${process.version}: ` +
      "use `npm run ourvidz -- …`, which runs the project's own Node.\n",
  );
  process.exitCode = 2;
} else if (/[\\/]node_modules[\\/]/.test(fileURLToPath(import.meta.url))) {
  process.stderr.write(
    "ourvidz runs from a clone of the project, not from node_modules, where Node.js runs no TypeScript: " +
      "clone it, and run `npm ci` and `npx ourvidz …` there.\n",
  );
  process.exitCode = 2;
} else {
  const { NODE_COMPILE_CACHE: given } = process.env;
  if (given === undefined) {
    // A start makes much garbage, for which V8 would keep 30 MB of its young generation for good. Nothing here runs quicker
    // with them; executors, which have the models, are processes of their own and keep the default. Code that was compiled
    // with other flags is refused, so they have a folder of their own in the cache when they are set before it is opened.
    const { setFlagsFromString } = await import("node:v8");
    setFlagsFromString("--semi-space-growth-factor=1");
    process.env.NODE_COMPILE_CACHE = fileURLToPath(new URL("../node_modules/.cache/ourvidz", import.meta.url));
    const { enableCompileCache } = await import("node:module");
    enableCompileCache(process.env.NODE_COMPILE_CACHE);
  }
  const { main } = await import("./main.ts");
  await main(process.argv.slice(2));
}
