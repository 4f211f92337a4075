import { beforeEach, expect, it } from "vitest";
import { Conditions } from "./conditions.ts";

const model = { worker: "sdxl", kind: "model", subject: "painter" } as const;
const error = { code: "MODEL_INVALID", message: "cut off" } as const;
const unchanged = () => undefined;

let nowMs: number;
let conditions: Conditions;
beforeEach(() => {
  nowMs = 0;
  conditions = new Conditions(() => nowMs);
});

/** Lets the pause pass; returns how long it was, in seconds. */
function waitForLook(): number {
  const pauseMs = (conditions.nextLookMs ?? Number.NaN) - nowMs;
  nowMs += pauseMs - 1;
  conditions.look(unchanged);
  expect(conditions.all()[0]?.state).toBe("active");
  nowMs += 1;
  conditions.look(unchanged);
  expect(conditions.all()[0]?.state).toBe("probing");
  return pauseMs / 1000;
}

it("is tried again after a pause that doubles from a second to five minutes, as long as it is found again", () => {
  const pauses = Array.from({ length: 11 }, () => {
    conditions.found(model, error);
    return waitForLook();
  });
  expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  expect(conditions.all()).toMatchObject([{ sinceMs: 0, error }]);
});

it("is tried again after the same pause when its probe says nothing new", () => {
  const pauses = Array.from({ length: 3 }, () => {
    conditions.found(model, error);
    return waitForLook();
  });
  expect(pauses).toEqual([1, 2, 4]);
  for (let probe = 0; probe < 3; probe++) {
    conditions.foundNothingNew(model, error);
    expect(waitForLook()).toBe(4);
  }
  conditions.found(model, error);
  conditions.foundNothingNew(model, error);
  expect(waitForLook()).toBe(8);
});

it("is gone when an attempt went well, and begins anew after that", () => {
  conditions.found(model, error);
  waitForLook();
  conditions.overcome(model);
  expect(conditions.all()).toEqual([]);
  conditions.found(model, error);
  expect(waitForLook()).toBe(1);
});

it("is not made longer by a second attempt that was under way", () => {
  conditions.found(model, error);
  conditions.found(model, error);
  expect(waitForLook()).toBe(1);
});

it("is tried again at once when what it is about has changed, with the first pause if that did not help", () => {
  const files = (version: string) => ({ kind: "model", name: "painter", version }) as const;
  conditions.found(model, error);
  waitForLook();
  conditions.found(model, error, files("a"));
  conditions.look(() => "a");
  expect(conditions.all()[0]?.state).toBe("active");
  conditions.look(() => "b");
  expect(conditions.all()[0]?.state).toBe("probing");
  conditions.found(model, error, files("b"));
  expect((conditions.nextLookMs ?? 0) - nowMs).toBe(1000);
});
