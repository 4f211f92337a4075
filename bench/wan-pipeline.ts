import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs, promisify } from "node:util";
import { z } from "zod";
import { WanPipeline } from "#pipelines/wan/pipeline.ts";
import { median, printTable, spread } from "./support/table.ts";

/*
 * Sampling of our WAN pipeline (the loop over the steps: both passes, guidance, scheduler) against a plain Python loop
 * (ONNX Runtime and diffusers' scheduler) on the same ONNX files, in turn: time in all and outside `session.run`.
 *
 *   npx node bench/wan-pipeline.ts --model <folder> --frames 17 --steps 10 --repeat 5 --python tools/.venv/bin/python
 *
 * Without --python only ours is measured.
 */
const count = z.coerce.number().int().positive();
const options = z
  .object({
    model: z.string().default("models/tiny-wan"),
    width: count.default(96),
    height: count.default(96),
    frames: count.default(25),
    steps: count.default(15),
    repeat: count.default(5),
    threads: count.default(availableParallelism()),
    python: z.string().optional(),
  })
  .parse(
    parseArgs({
      options: Object.fromEntries(
        ["model", "width", "height", "frames", "steps", "repeat", "threads", "python"].map((name) => [
          name,
          { type: "string" as const },
        ]),
      ),
    }).values,
  );

interface Run {
  readonly total: number;
  readonly inside: number;
}

async function ours(pipeline: WanPipeline): Promise<Run> {
  let begun = { at: 0, inside: 0 };
  let ended = begun;
  const mark = () => ({ at: performance.now(), inside: pipeline.millisecondsInRun });
  const request = {
    prompt: "a rocket flies up, night sky",
    negativePrompt: "blurry, low quality",
    width: options.width,
    height: options.height,
    frames: options.frames,
    numInferenceSteps: options.steps,
    guidanceScale: 5,
    seed: 1,
  };
  await pipeline.generate(request, async () => {}, {
    onStage: ({ name }) => {
      if (name === "prepared") begun = mark();
      if (name === "step") ended = mark();
    },
  });
  return { total: ended.at - begun.at, inside: ended.inside - begun.inside };
}

const report = z.object({
  runs: z.array(z.object({ sampling_seconds: z.number(), run_seconds: z.number() })).length(1),
});

async function theirs(python: string): Promise<Run> {
  const sizes = (["width", "height", "frames", "steps", "threads"] as const).flatMap((name) => [
    `--${name}`,
    String(options[name]),
  ]);
  const program = "tools/reference/bench_wan_loop.py";
  const { stdout } = await promisify(execFile)(python, [program, options.model, ...sizes, "--repeat", "1", "--json"]);
  const [run] = report.parse(JSON.parse(stdout)).runs;
  return { total: (run?.sampling_seconds ?? 0) * 1000, inside: (run?.run_seconds ?? 0) * 1000 };
}

function row(name: string, runs: readonly Run[]): string[] {
  const outside = runs.map(({ total, inside }) => total - inside);
  const share = runs.map(({ total, inside }) => (100 * (total - inside)) / total);
  return [name, spread(runs.map(({ total }) => total)), spread(outside), spread(share, 2)];
}

const pipeline = await WanPipeline.load(options.model, { intraOpThreads: options.threads });
await ours(pipeline);
const ourRuns: Run[] = [];
const theirRuns: Run[] = [];
for (let repeat = 0; repeat < options.repeat; repeat++) {
  ourRuns.push(await ours(pipeline));
  if (options.python !== undefined) theirRuns.push(await theirs(options.python));
}
await pipeline.dispose();

const { model, width, height, frames, steps, threads, repeat } = options;
console.log(
  `${model}, ${width}×${height}×${frames}, ${steps} steps, guidance 5, ${threads} threads, ${repeat} runs in turn`,
);
printTable([
  ["", "sampling, ms", "outside session.run, ms", "share, %"],
  row("ours", ourRuns),
  ...(theirRuns.length > 0 ? [row("Python", theirRuns)] : []),
]);
if (theirRuns.length > 0) {
  const total = (runs: readonly Run[]) => median(runs.map((run) => run.total));
  console.log(`ratio ours / Python: ${(total(ourRuns) / total(theirRuns)).toFixed(3)}`);
}
