import process from "node:process";
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { watchRunner } from "./runner-watch.ts";

const [shellOfNpm, npm, shell, terminal] = [process.ppid, 20, 10, 5];
const environment = { npm_lifecycle_event: "start", npm_lifecycle_script: "node cli/ourvidz.js start" };
const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
let parents: Map<number, number>;
let environments: Map<number, readonly string[]>;
let gone: number;

beforeEach(() => {
  vi.useFakeTimers();
  gone = 0;
});

afterEach(() => {
  vi.useRealTimers();
});

function watch(): void {
  const stop = watchRunner(() => gone++, {
    environment,
    parentOf: (pid) => parents.get(pid) ?? null,
    environmentOf: (pid) => environments.get(pid) ?? [],
  });
  vi.advanceTimersByTime(5000);
  expect(gone).toBe(0);
  onTestFinished(stop);
}

it("sees that npm is gone, whose shell lives on", () => {
  parents = new Map([
    [shellOfNpm, npm],
    [npm, shell],
    [shell, terminal],
  ]);
  environments = new Map([[shellOfNpm, variables]]);
  watch();
  parents.set(shellOfNpm, 1);
  vi.advanceTimersByTime(1000);
  expect(gone).toBe(1);
});

it("goes on without the shell that npm was started from", () => {
  parents = new Map([
    [shellOfNpm, npm],
    [npm, shell],
    [shell, terminal],
  ]);
  environments = new Map([[shellOfNpm, variables]]);
  watch();
  parents.set(npm, 1);
  vi.advanceTimersByTime(5000);
  expect(gone).toBe(0);
});

it("does so where npm's own shell has made way for the command", () => {
  parents = new Map([
    [process.ppid, shell],
    [shell, terminal],
  ]);
  environments = new Map();
  watch();
  parents.set(process.ppid, 1);
  vi.advanceTimersByTime(5000);
  expect(gone).toBe(0);
});

it("knows an npm that was run by another one by its variables", () => {
  parents = new Map([
    [shellOfNpm, npm],
    [npm, shell],
    [shell, terminal],
  ]);
  const outer = ["npm_lifecycle_event=serve", "npm_lifecycle_script=npm start"];
  environments = new Map([
    [shellOfNpm, variables],
    [npm, outer],
    [shell, outer],
  ]);
  watch();
  parents.set(npm, 1);
  vi.advanceTimersByTime(5000);
  expect(gone).toBe(0);
  parents.set(shellOfNpm, 1);
  vi.advanceTimersByTime(1000);
  expect(gone).toBe(1);
});
