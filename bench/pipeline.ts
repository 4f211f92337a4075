import { parseArgs } from "node:util";
import { z } from "zod";
import { executorMemory } from "#runtime/executor/parent/executor-environment.ts";
import { JsonProcess } from "./support/json-process.ts";
import { printTable, quantile, spread } from "./support/table.ts";

const help = `Our SDXL pipeline beside Python's on the same ONNX files: time, processor time, time outside ONNX Runtime, memory.

  npx node bench/pipeline.ts --model models/tiny-sdxl --model <folder> --images 1,6 --python <venv>/bin/python

  --model <folder>    may be there several times (default: models/tiny-sdxl); tools/README.md makes a larger random one
  --images <counts>   pictures of one job (default: 1,6)
  --size <pixels>     both sides (default: 128)
  --steps <count>     (default: 15; guidance 6, so the UNet takes twice the pictures)
  --threads <count>   of ONNX Runtime, for both (default: 1: on a shared machine more of them wait for each other)
  --rounds <count>    counted runs of each, in turn, after one that is not counted (default: 5)
  --python <program>  of an environment with the loop; without it only ours is measured
  --loop <name>       optimum: ORTStableDiffusionXLPipeline (pip install optimum-onnx diffusers)
                      plain: sessions and diffusers' scheduler alone (tools/requirements.txt)

Linux only: memory is what /proc says. Each side has a process for each model and count. Memory: the highest that was ever
resident, and how much of it came after the program's own code was loaded, which for Python is mostly torch's.
Ratios are ours / Python's of the runs of one round, median (lowest to highest). To hold: at most 1.0 of time and of memory,
and at sizes at which the UNet has something to do at most 3 % outside of ONNX Runtime.`;

const { values: texts } = parseArgs({
  options: {
    help: { type: "boolean" },
    model: { type: "string", multiple: true },
    images: { type: "string" },
    size: { type: "string" },
    steps: { type: "string" },
    threads: { type: "string" },
    rounds: { type: "string" },
    python: { type: "string" },
    loop: { type: "string" },
  },
});
const count = z.coerce.number().int().positive();
const { models, ...options } = z
  .object({
    model: z.array(z.string()).default(["models/tiny-sdxl"]),
    images: z
      .string()
      .default("1,6")
      .transform((list) => list.split(",").map((one) => count.parse(one))),
    size: count.default(128),
    steps: count.default(15),
    threads: count.default(1),
    rounds: count.default(5),
    python: z.string().optional(),
    loop: z.enum(["optimum", "plain"]).default("optimum"),
  })
  .transform(({ model, ...rest }) => ({ models: model, ...rest }))
  .parse(texts);

const ready = z.object({ loadSeconds: z.number(), baseKb: z.number() });
const drawn = z.object({
  seconds: z.number(),
  cpuSeconds: z.number(),
  insideSeconds: z.number(),
  mean: z.number(),
  peakKb: z.number(),
});
type Drawn = z.output<typeof drawn>;

/** One side's process with what it has measured so far. */
interface Side {
  readonly name: string;
  readonly process: JsonProcess;
  baseKb: number;
  readonly runs: Drawn[];
}

function sides(model: string, images: number): Side[] {
  const { size, steps, threads, python, loop } = options;
  const numbers = [size, size, steps, images, 6, threads].map(String);
  const ours = new JsonProcess("draw-images.ts", [model, ...numbers], { env: executorMemory });
  const side = (name: string, process: JsonProcess): Side => ({ name, process, baseKb: 0, runs: [] });
  if (python === undefined) return [side("ours", ours)];
  const named = { width: size, height: size, steps, images, guidance: 6, threads };
  const args = Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const theirs = new JsonProcess("../../tools/reference/bench_loop.py", [model, "--loop", loop, ...args], {
    interpreter: python,
    env: { PYTHONWARNINGS: "ignore", TRANSFORMERS_VERBOSITY: "error" },
  });
  return [side("ours", ours), side(`Python, ${loop}`, theirs)];
}

/** Runs of all sides in turn. @throws Error when they do not draw the same */
async function measure(model: string, images: number): Promise<Side[]> {
  const all = sides(model, images);
  for (const side of all) ({ baseKb: side.baseKb } = await side.process.next(ready));
  for (let round = 0; round < options.rounds; round++) {
    for (const { process, runs } of all) {
      process.send("run");
      runs.push(await process.next(drawn));
    }
  }
  for (const { process } of all) await process.end();
  const means = all.map(({ runs }) => runs[0]?.mean ?? 0);
  if (Math.max(...means) - Math.min(...means) > 0.1) throw new Error(`the pictures differ: ${means.join(" and ")}`);
  return all;
}

const peakMb = ({ runs }: Side) => Math.max(...runs.map(({ peakKb }) => peakKb)) / 1024;
const addedMb = (side: Side) => peakMb(side) - side.baseKb / 1024;
const outside = ({ seconds, insideSeconds }: Drawn) => (100 * (seconds - insideSeconds)) / seconds;

function row(what: string, side: Side): string[] {
  const { name, runs } = side;
  const times = [runs.map(({ seconds }) => seconds), runs.map(({ cpuSeconds }) => cpuSeconds)];
  const memory = [peakMb(side), addedMb(side)].map((value) => value.toFixed(0));
  return [what, name, ...times.map((values) => spread(values, 2)), spread(runs.map(outside)), ...memory];
}

function ratios(ours: Side, theirs: Side): string[] {
  const of = (value: (run: Drawn) => number) =>
    ours.runs.map((run, round) => value(run) / value(theirs.runs[round] ?? run));
  const times = [of(({ seconds }) => seconds), of(({ cpuSeconds }) => cpuSeconds)].map((values) => spread(values, 2));
  const memory = [peakMb(ours) / peakMb(theirs), addedMb(ours) / addedMb(theirs)].map((value) => value.toFixed(2));
  return ["", "ratio", ...times, "", ...memory];
}

async function compare(): Promise<void> {
  const rows = [
    ["model, pictures", "", "seconds", "of processor time", "outside, %", "peak, MB", "above its start, MB"],
  ];
  const cheapest: number[] = [];
  for (const model of models) {
    for (const images of options.images) {
      const [ours, theirs] = await measure(model, images);
      if (ours === undefined) continue;
      rows.push(row(`${model}, ${images}`, ours));
      if (theirs === undefined) continue;
      rows.push(row("", theirs), ratios(ours, theirs));
      const least = ({ runs }: Side) =>
        quantile(
          runs.map(({ cpuSeconds }) => cpuSeconds),
          0,
        );
      cheapest.push(least(ours) / least(theirs));
    }
  }
  const { size, steps, threads, rounds } = options;
  console.log(`${size}×${size}, ${steps} steps, guidance 6, ${threads} threads, ${rounds} rounds`);
  printTable(rows);
  if (cheapest.length > 0) {
    const list = cheapest.map((ratio) => ratio.toFixed(2)).join(", ");
    console.log(`processor time of the cheapest run, ours / Python's: ${list}`);
  }
}

if (texts.help) console.log(help);
else await compare();
