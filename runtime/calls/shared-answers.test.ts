import { beforeEach, expect, it, vi } from "vitest";
import { SharedAnswers } from "./shared-answers.ts";

const minute = 60_000;
let nowMs: number;
let answers: SharedAnswers<{ output: { text: string } }>;
let make: ReturnType<typeof vi.fn<() => Promise<{ output: { text: string } }>>>;
beforeEach(() => {
  nowMs = 0;
  answers = new SharedAnswers(() => nowMs);
  make = vi.fn(async () => ({ output: { text: "an answer" } }));
});

const get = (key: string) => {
  const signal = new AbortController().signal;
  return answers.get({ type: "reply", key, digest: "same", signal }, make);
};

it("keeps an answer for ten minutes", async () => {
  await get("a");
  nowMs = 9.9 * minute;
  await get("a");
  expect(make).toHaveBeenCalledTimes(1);
  nowMs = 10.1 * minute;
  await get("a");
  expect(make).toHaveBeenCalledTimes(2);
});

it("keeps the latest thousand", async () => {
  for (let index = 0; index <= 1000; index++) await get(`${index}`);
  await get("1");
  expect(make).toHaveBeenCalledTimes(1001);
  await get("0");
  expect(make).toHaveBeenCalledTimes(1002);
});

it("keeps sixteen million characters", async () => {
  make.mockImplementation(async () => ({ output: { text: "a".repeat(1_000_000) } }));
  for (let index = 0; index < 17; index++) await get(`${index}`);
  await get("16");
  expect(make).toHaveBeenCalledTimes(17);
  await get("0");
  expect(make).toHaveBeenCalledTimes(18);
});
