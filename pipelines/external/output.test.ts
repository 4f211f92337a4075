import { expect, it } from "vitest";
import { LastLines, OutputLines, saysOutOfMemory } from "./output-lines.ts";
import { readBar, StepWatch } from "./progress-bar.ts";

const linesOf = (...chunks: string[]) => {
  const lines: string[] = [];
  const output = new OutputLines((line) => lines.push(line));
  for (const chunk of chunks) output.write(Buffer.from(chunk));
  output.end();
  return lines;
};

it("ends a line at line feeds and carriage returns, wherever the pieces are cut", () => {
  expect(linesOf("on", "e\r", "\ntwo\rthr", "ee")).toEqual(["one", "two", "three"]);
  const [first, second] = [Buffer.from("é").subarray(0, 1), Buffer.from("é").subarray(1)];
  const lines: string[] = [];
  const output = new OutputLines((line) => lines.push(line));
  output.write(first);
  output.write(second);
  output.end();
  expect(lines).toEqual(["é"]);
});

it("keeps of a line that never ends, and of lines that never stop, only so much", () => {
  const [line = ""] = linesOf(...Array.from({ length: 100 }, () => "x".repeat(10_000)));
  expect(line).toHaveLength(400);
  const last = new LastLines();
  for (let index = 0; index < 1000; index++) last.add(`line ${index}`);
  expect([last.all.length, last.all.at(-1)]).toEqual([40, "line 999"]);
});

it.each([
  [" 12%|█▏        | 6/50 [00:10<01:10,  1.60s/it]", { step: 6, total: 50, isNamed: false }],
  ["100%|██████████| 50/50 [01:20<00:00,  1.60s/it]", { step: 50, total: 50, isNamed: false }],
  ["  0%|          | 0/50 [00:00<?, ?it/s]", { step: 0, total: 50, isNamed: false }],
  ["Loading checkpoint shards:  33%|███▎      | 1/3 [00:01<00:02]", { step: 1, total: 3, isNamed: true }],
  ["50% of 6/50 frames", null],
])("reads %s", (line, bar) => {
  expect(readBar(line)).toEqual(bar);
});

it("counts the steps of the first bar without a name, and never backwards", () => {
  const seen: string[] = [];
  const watch = new StepWatch((step, total) => seen.push(`${step}/${total}`));
  const see = (step: number, total: number, isNamed = false) => watch.see({ step, total, isNamed });
  see(3, 3, true);
  for (const step of [0, 1, 1, 2]) see(step, 20);
  see(1, 81);
  see(1, 20);
  see(20, 20);
  expect(seen).toEqual(["0/20", "1/20", "2/20", "20/20"]);
});

it.each([
  ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB", true],
  ["RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", true],
  ["RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried", true],
  ["a prompt about memory", false],
])("%s", (line, expected) => {
  expect(saysOutOfMemory(line)).toBe(expected);
});
