import { beforeEach, describe, expect, it } from "vitest";
import { OutageGate } from "./outage-gate.ts";

let nowMs: number;
let gate: OutageGate;
beforeEach(() => {
  nowMs = 1_000_000;
  gate = new OutageGate({ threshold: 3, nowMs: () => nowMs, random: () => 1 });
});

function close(): void {
  for (const row of [1, 2, 3]) gate.failed(row, {});
}

describe("an outage gate", () => {
  it("closes when several jobs fail, not when one fails often", () => {
    for (let times = 0; times < 10; times++) expect(gate.failed(1, {})).toBeNull();
    expect(gate.failed(2, {})).toBeNull();
    expect(gate.enter(4)).toBe(0);
    expect(gate.failed(3, {})).toBe(1000);
    expect(gate.isClosed).toBe(true);
    expect(gate.enter(4)).toBe(1000);
  });

  it("closes at once, and for as long, when it is throttled", () => {
    expect(gate.failed(1, { delaySeconds: 300 })).toBe(300_000);
    expect(gate.enter(2)).toBe(300_000);
  });

  it("counts anew after a success", () => {
    gate.failed(1, {});
    gate.failed(2, {});
    expect(gate.succeeded()).toBe(false);
    expect(gate.failed(3, {})).toBeNull();
  });

  it("lets one through when the time is up, and closes for longer when that one fails", () => {
    close();
    nowMs += 1000;
    expect(gate.enter(1)).toBe(0);
    expect(gate.enter(2)).toBe(5000);
    expect(gate.enter(1)).toBe(0);
    expect(gate.failed(1, {})).toBe(2000);
    expect(gate.enter(1)).toBe(2000);
    nowMs += 2000;
    expect(gate.enter(2)).toBe(0);
  });

  it("opens for all when the one came through", () => {
    close();
    nowMs += 1000;
    gate.enter(1);
    expect(gate.succeeded()).toBe(true);
    expect([2, 3, 4].map((row) => gate.enter(row))).toEqual([0, 0, 0]);
    expect(gate.isClosed).toBe(false);
  });

  it("does not count those twice that were under way when it closed", () => {
    close();
    nowMs += 400;
    expect(gate.failed(4, {})).toBe(600);
    nowMs += 600;
    gate.enter(1);
    expect(gate.failed(1, {})).toBe(2000);
  });
});
