import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import process from "node:process";

/* Loaded before the container (not its executors): it writes a line whenever it looks for its parent's parent. */
if (process.argv[1]?.endsWith("ourvidz.js")) {
  const { readFileSync } = fs;
  fs.readFileSync = (path, ...options) => {
    if (path === `/proc/${process.ppid}/stat`) process.stderr.write("looked for the runner\n");
    return readFileSync(path, ...options);
  };
  syncBuiltinESMExports();
}
