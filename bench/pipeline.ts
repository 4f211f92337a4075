import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs, promisify } from "node:util";
import { SdxlPipeline } from "#pipelines/sdxl/pipeline.ts";
import { median, printTable, spread } from "./support/table.ts";

/*
 * Our SDXL pipeline against a plain Python loop (ONNX Runtime and diffusers' scheduler) on the same ONNX files, in
 * turn: time outside `session.run` and time in all.
 *
 *   node bench/pipeline.ts --model <folder> --width 512 --height 512 --steps 10 --repeat 5 --python .venv/bin/python
 *
 * Without --python only ours is measured. tools/README.md says how to make a larger random model and the environment.
 */
const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "models/tiny-sdxl" },
    width: { type: "string", default: "128" },
    height: { type: "string", default: "128" },
    steps: { type: "string", default: "15" },
    repeat: { type: "string", default: "5" },
    threads: { type: "string", default: String(availableParallelism()) },
    python: { type: "string" },
  },
});
const settings = {
  width: Number(options.width),
  height: Number(options.height),
  steps: Number(options.steps),
  threads: Number(options.threads),
};
const repeats = Number(options.repeat);

interface Run {
  readonly total: number;
  readonly inside: number;
}

async function ours(pipeline: SdxlPipeline): Promise<Run> {
  const before = pipeline.millisecondsInRun;
  const start = performance.now();
  await pipeline.generate({
    prompt: "a lighthouse at dawn",
    negativePrompt: "blurry",
    width: settings.width,
    height: settings.height,
    numInferenceSteps: settings.steps,
    guidanceScale: 6,
    seeds: [0],
  });
  return { total: performance.now() - start, inside: pipeline.millisecondsInRun - before };
}

async function theirs(python: string): Promise<Run> {
  const { width, height, steps, threads } = settings;
  const sizes = [
    "--width",
    String(width),
    "--height",
    String(height),
    "--steps",
    String(steps),
    "--threads",
    String(threads),
  ];
  const { stdout } = await promisify(execFile)(python, [
    "tools/reference/bench_loop.py",
    options.model,
    ...sizes,
    "--repeat",
    "1",
    "--json",
  ]);
  const { runs } = JSON.parse(stdout) as { runs: { total_seconds: number; run_seconds: number }[] };
  const [run] = runs;
  if (run === undefined) throw new Error("the Python loop reported no run");
  return { total: run.total_seconds * 1000, inside: run.run_seconds * 1000 };
}

function rows(name: string, runs: readonly Run[]): string[] {
  const outside = runs.map((run) => run.total - run.inside);
  const share = runs.map((run) => (100 * (run.total - run.inside)) / run.total);
  return [name, spread(runs.map((run) => run.total)), spread(outside), spread(share, 2)];
}

const pipeline = await SdxlPipeline.load(options.model, { intraOpThreads: settings.threads });
await ours(pipeline);
const ourRuns: Run[] = [];
const theirRuns: Run[] = [];
for (let repeat = 0; repeat < repeats; repeat++) {
  ourRuns.push(await ours(pipeline));
  if (options.python !== undefined) theirRuns.push(await theirs(options.python));
}
await pipeline.dispose();

console.log(
  `${options.model}, ${settings.width}×${settings.height}, ${settings.steps} steps, guidance 6, ${settings.threads} threads, ${repeats} runs in turn`,
);
printTable([
  ["", "total ms", "outside session.run, ms", "share, %"],
  rows("ours", ourRuns),
  ...(theirRuns.length > 0 ? [rows("Python", theirRuns)] : []),
]);
if (theirRuns.length > 0) {
  const outside = (runs: readonly Run[]) => median(runs.map((run) => run.total - run.inside));
  const total = (runs: readonly Run[]) => median(runs.map((run) => run.total));
  console.log(
    `ratio ours / Python: total ${(total(ourRuns) / total(theirRuns)).toFixed(3)}, outside session.run ${(outside(ourRuns) / outside(theirRuns)).toFixed(3)}`,
  );
}
