import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { endMark } from "../protocol.ts";
import { ProcessOutput } from "./process-output.ts";

function process() {
  const child = Object.assign(new EventEmitter(), { stdout: new PassThrough(), stderr: new PassThrough() });
  return { child, output: new ProcessOutput(child) };
}

/** Resolves when what was written so far has been read. */
const read = () => new Promise((resolve) => setImmediate(resolve));

it("gives each attempt what was printed before its mark, however late it is read and however it is cut", async () => {
  const { child, output } = process();
  const first = output.begin(1);
  const text = `first\n${endMark.of(1)}between\nsecond\n${endMark.of(2)}`;
  child.stdout.write(text.slice(0, 9));
  await read();
  // The next one has begun when the rest of the first one's output comes.
  const second = output.begin(2);
  for (const character of text.slice(9)) child.stdout.write(character);
  child.stderr.write(`aside\n${endMark.of(1)}${endMark.of(2)}`);
  await Promise.all([first.closed, second.closed]);
  expect(first.lines).toEqual(["first", "aside"]);
  expect(second.lines).toEqual(["between", "second"]);
});

it("ends what runs when the process has gone, with all that it has printed", async () => {
  const { child, output } = process();
  const begun = output.begin(1);
  const lake = Buffer.from("a lake \u{1f3de}");
  child.stderr.write(lake.subarray(0, 9));
  await read();
  child.stderr.end(lake.subarray(9));
  child.stdout.end(`${endMark.first}no mark`);
  child.stdout.destroy();
  await begun.closed;
  expect(begun.lines).toContain("a lake \u{1f3de}");
  expect(output.evidence).toContain("a lake \u{1f3de}");
  expect(output.begin(2).lines).toEqual([]);
});

it("keeps the end of much, and of a long line the beginning", () => {
  const { output } = process();
  const begun = output.begin(1);
  for (let line = 1; line <= 1000; line++) begun.write("stdout", `line ${line}\n`);
  begun.write("stderr", `${"x".repeat(5000)}\n`);
  expect(begun.lines).toHaveLength(100);
  expect(begun.dropped).toBe(901);
  expect(begun.lines.at(-1)).toBe(`${"x".repeat(999)}…`);
});
