import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LiveText } from "./live-text.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("reports the whole text, four times a second at most, and the rest at the end", () => {
  const reports: string[] = [];
  const text = new LiveText((whole) => reports.push(whole));
  for (const piece of ["a", " red", " apple"]) text.add(piece);
  expect(reports).toEqual([]);
  vi.advanceTimersByTime(250);
  expect(reports).toEqual(["a red apple"]);
  vi.advanceTimersByTime(1000);
  expect(reports).toHaveLength(1);
  text.add(" on a table");
  text.close();
  text.close();
  expect(reports).toEqual(["a red apple", "a red apple on a table"]);
});

it("reports of a long text the beginning, and then no more", () => {
  const reports: string[] = [];
  const text = new LiveText((whole) => reports.push(whole));
  for (let piece = 0; piece < 10; piece++) text.add("0123456789".repeat(1000));
  text.close();
  expect(reports.map(({ length }) => length)).toEqual([32_000]);
});
