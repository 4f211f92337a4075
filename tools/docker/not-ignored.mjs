import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { matchesGlob } from "node:path";
import process from "node:process";

/* What COPY takes: files of the working tree that .dockerignore does not name, each ended by a zero byte. */
const patterns = readFileSync(".dockerignore", "utf8").split("\n").filter(Boolean);
const isIgnored = (name) =>
  patterns.some(
    (pattern) => name.startsWith(`${pattern}/`) || matchesGlob(name, pattern) || matchesGlob(name, `${pattern}/**`),
  );
const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
const names = execFileSync("git", list, { encoding: "utf8", maxBuffer: 2 ** 26 })
  .split("\0")
  .filter(Boolean);
const copied = names.filter((name) => !isIgnored(name) && existsSync(name));
process.stdout.write(copied.map((name) => `${name}\0`).join(""));
