import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs, promisify } from "node:util";
import { z } from "zod";
import { ChatPipeline } from "#pipelines/chat/pipeline.ts";
import { median, printTable, spread } from "./support/table.ts";

/*
 * Greedy answers of our language model pipeline against a plain Python loop (ONNX Runtime, its cache in ONNX Runtime's own
 * values) on the same ONNX file, in turn: tokens per second after the first token, time to the first, peak memory, and
 * whether the answers are the same. With --source also whether they are those of transformers in torch.
 *
 *   npx node bench/chat.ts --model models/smollm2 --tokens 64 --repeat 3 --python tools/.venv/bin/python --source smollm2
 *
 * Without --python only ours is measured.
 */
const count = z.coerce.number().int().positive();
const options = z
  .object({
    model: z.string(),
    tokens: count.default(64),
    repeat: count.default(3),
    threads: count.default(availableParallelism()),
    python: z.string().optional(),
    source: z.string().optional(),
  })
  .parse(
    parseArgs({
      options: Object.fromEntries(
        ["model", "tokens", "repeat", "threads", "python", "source"].map((name) => [name, { type: "string" as const }]),
      ),
    }).values,
  );

/** Those of `tools/reference/bench_chat_loop.py`. */
const questions = [
  "What is the capital of France?",
  "Name three colours of the rainbow.",
  "Write one sentence about a mountain lake.",
  "How many legs does a spider have?",
  "What is the opposite of hot?",
];

const answer = z.object({
  text: z.string(),
  tokens: z.number(),
  first: z.number().default(0),
  rest: z.number().default(0),
});
const report = z.object({
  answers: z.array(answer),
  cpu_seconds: z.number().default(0),
  peak_kb: z.number().default(0),
});
type Answer = z.output<typeof answer>;
type Report = z.output<typeof report>;

async function ours(pipeline: ChatPipeline): Promise<Report> {
  const answers: Answer[] = [];
  const before = process.cpuUsage();
  const { signal } = new AbortController();
  for (const content of questions) {
    const request = { messages: [{ role: "user", content } as const], maxTokens: options.tokens, temperature: 0 };
    const { text, tokensGenerated, prefillSeconds, generationSeconds } = await pipeline.generate(request, { signal });
    answers.push({ text, tokens: tokensGenerated, first: prefillSeconds, rest: generationSeconds - prefillSeconds });
  }
  const { user, system } = process.cpuUsage(before);
  return { answers, cpu_seconds: (user + system) / 1e6, peak_kb: process.resourceUsage().maxRSS };
}

async function theirs(python: string, program: string, model: string, ...more: string[]) {
  const given = [`tools/reference/${program}`, model, "--tokens", String(options.tokens), ...more];
  const { stdout } = await promisify(execFile)(python, given);
  return report.parse(JSON.parse(stdout.split("\n").find((line) => line.startsWith("{")) ?? "{}"));
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);
const speed = ({ answers }: Report) =>
  sum(answers.map(({ tokens }) => tokens - 1)) / sum(answers.map(({ rest }) => rest));
const firstMs = ({ answers }: Report) => (1000 * sum(answers.map(({ first }) => first))) / answers.length;
/** Of all tokens, prompts included: what other processes do hardly changes it. */
const cpuMs = ({ answers, cpu_seconds }: Report) => (1000 * cpu_seconds) / sum(answers.map(({ tokens }) => tokens));
const texts = (found: Pick<Report, "answers"> | undefined) => JSON.stringify(found?.answers.map(({ text }) => text));

const pipeline = await ChatPipeline.load(options.model, { executionProvider: "cpu", intraOpThreads: options.threads });
await ours(pipeline);
const ourRuns: Report[] = [];
const theirRuns: Report[] = [];
let [runMs, allMs] = [-pipeline.millisecondsInRun, 0];
for (let repeat = 0; repeat < options.repeat; repeat++) {
  const start = performance.now();
  ourRuns.push(await ours(pipeline));
  allMs += performance.now() - start;
  if (options.python === undefined) continue;
  const threads = ["--threads", String(options.threads), "--warm-up"];
  theirRuns.push(await theirs(options.python, "bench_chat_loop.py", options.model, ...threads));
}
runMs += pipeline.millisecondsInRun;
await pipeline.dispose();

function row(name: string, runs: readonly Report[]): string[] {
  const peakMb = Math.max(...runs.map(({ peak_kb }) => peak_kb)) / 1024;
  return [name, spread(runs.map(speed)), spread(runs.map(cpuMs)), spread(runs.map(firstMs)), peakMb.toFixed(0)];
}

console.log(
  `${options.model}, ${questions.length} questions, ${options.threads} threads, ${options.repeat} runs in turn`,
);
printTable([
  ["", "tokens/s", "CPU ms a token", "first token, ms", "peak memory, MB"],
  row("ours", ourRuns),
  ...(theirRuns.length > 0 ? [row("Python", theirRuns)] : []),
]);
console.log(`outside of session.run: ${((100 * (allMs - runMs)) / allMs).toFixed(2)} %`);
if (theirRuns.length > 0) {
  const ratio = (of: (run: Report) => number) => (median(ourRuns.map(of)) / median(theirRuns.map(of))).toFixed(3);
  console.log(`ratio ours / Python: tokens per second ${ratio(speed)}, CPU time ${ratio(cpuMs)}`);
  console.log(`answers are those of the Python loop: ${texts(ourRuns[0]) === texts(theirRuns[0])}`);
}
if (options.python !== undefined && options.source !== undefined) {
  const reference = await theirs(options.python, "answer_chat.py", options.source);
  console.log(`answers are those of transformers: ${texts(ourRuns[0]) === texts(reference)}`);
  for (const [index, { text }] of reference.answers.entries())
    console.log(`  ${questions[index]} ${JSON.stringify(text)}`);
}
