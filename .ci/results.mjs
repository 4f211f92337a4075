/*
 * Reads the JSON reports of vitest.
 *   results.mjs failed FIRST            the files in which a test failed, one on a line; none when they are more than a few
 *   results.mjs count FIRST [SECOND]    "N passed, N failed", SECOND being the second run of the files that FIRST had failed
 */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import process from "node:process";

/** More files than these do not fail by chance. */
const maxSecondRuns = 4;

const [command, ...paths] = process.argv.slice(2);
const [first, second] = paths.map((path) => JSON.parse(readFileSync(path, "utf8")).testResults);
const failed = first.filter(isFailed);

if (command === "failed") {
  if (failed.length <= maxSecondRuns) for (const file of failed) print(pathOf(file));
} else if (second === undefined) {
  report(first);
} else {
  const again = second.filter(({ name }) => failed.some((file) => file.name === name));
  const passed = again.filter((file) => !isFailed(file));
  if (passed.length > 0) print(`Passed alone only, not beside other files: ${passed.map(pathOf).join(", ")}`);
  report([...first.filter((file) => !isFailed(file)), ...again]);
}

function report(files) {
  const tests = files.flatMap((file) => file.assertionResults);
  const count = (status) => tests.filter((test) => test.status === status).length;
  // A test file that cannot even be loaded has no tests to count: it counts as one failure.
  const unread = files.filter(
    (file) => isFailed(file) && file.assertionResults.every((test) => test.status !== "failed"),
  );
  const failures = count("failed") + unread.length;
  print(`${count("passed")} passed, ${failures} failed`);
  if (failures > 0 || count("passed") === 0) process.exitCode = 1;
}

function isFailed({ status }) {
  return status === "failed";
}

function pathOf({ name }) {
  return relative(process.cwd(), name);
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
