import { expect, it } from "vitest";
import { ClockJump } from "./clock-jump.ts";

function clocks() {
  const at = { wallMs: 1_000_000, steadyMs: 50 };
  const jump = new ClockJump(
    () => at.wallMs,
    () => at.steadyMs,
    30_000,
  );
  const pass = (steadyMs: number, wallMs = steadyMs) => {
    at.steadyMs += steadyMs;
    at.wallMs += wallMs;
    return jump.isRecent();
  };
  return { pass };
}

it("sees that the clock was set forward, or that the machine has slept, for one lease time", () => {
  const { pass } = clocks();
  expect(pass(60_000)).toBe(false);
  expect(pass(5000, 3_600_000)).toBe(true);
  expect(pass(29_999)).toBe(true);
  expect(pass(1)).toBe(false);
});

it("is not taken in by clocks that are corrected, set back, or looked at seldom", () => {
  const { pass } = clocks();
  expect(pass(3_600_000, 3_600_500)).toBe(false);
  expect(pass(1000, -3_600_000)).toBe(false);
  expect(pass(1000)).toBe(false);
});
