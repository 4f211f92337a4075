import { goldenDifference, readGoldenRuns } from "./golden-runs.ts";
import { goldenLimit } from "./scheduler-fidelity.ts";

/*
 * Compares the runs of a folder that `tools/reference/verify_schedulers.py` wrote, and prints what differs, as JSON.
 *
 *   npx node pipelines/schedulers/testing/replay.ts <folder>
 */
const [folder = "."] = process.argv.slice(2);
const runs = readGoldenRuns(folder).map((run) => {
  const { rows: _rows, ...settings } = run;
  try {
    return { ...settings, difference: goldenDifference(run) };
  } catch (error) {
    return { ...settings, difference: Infinity, problem: String(error) };
  }
});
const worst = [...Map.groupBy(runs, ({ class_name }) => class_name)].map(
  ([name, each]) => [name, Math.max(...each.map(({ difference }) => difference))] as const,
);
const over = runs.filter(({ class_name, difference }) => !(difference <= goldenLimit(class_name)));
process.stdout.write(JSON.stringify({ runs: runs.length, worst: Object.fromEntries(worst), over }));
