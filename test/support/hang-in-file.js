import { execFileSync } from "node:child_process";
import { open } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/* Loaded before the container (not its executors): one of its threads hangs in a file operation, as on a drive that is away. */
if (process.argv[1]?.endsWith("ourvidz.js")) {
  const path = join(process.env.DATA_DIR ?? "", "hangs");
  execFileSync("mkfifo", [path]);
  open(path, "r", () => undefined);
}
