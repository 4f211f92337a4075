import { beforeEach, expect, it } from "vitest";
import { Quarantine, quarantineMs } from "./quarantine.ts";

const error = { code: "EXECUTOR_CRASHED", message: "The executor died (SIGKILL)." } as const;
const mallory = { user_id: "mallory", type: "paint" };

let nowMs: number;
let quarantine: Quarantine;

beforeEach(() => {
  nowMs = 1000;
  quarantine = new Quarantine(() => nowMs);
});

it("puts back what comes up of a user and type that failed, from when the first one comes up", () => {
  quarantine.failed(mallory, error);
  nowMs += 30_000;
  expect(quarantine.pauseMs(mallory)).toBe(2000);
  nowMs += 500;
  expect(quarantine.pauseMs(mallory)).toBe(1500);
  nowMs += 1500;
  expect(quarantine.pauseMs(mallory)).toBe(0);
});

it("leaves other users, and the user's other types, alone", () => {
  quarantine.failed(mallory, error);
  expect(quarantine.pauseMs({ ...mallory, user_id: "ann" })).toBe(0);
  expect(quarantine.pauseMs({ ...mallory, type: "count" })).toBe(0);
});

it("doubles the pause with each failure up to a minute, until a job goes well", () => {
  const pauses = Array.from({ length: 8 }, () => {
    quarantine.failed(mallory, error);
    return quarantine.pauseMs(mallory);
  });
  expect(pauses).toEqual([2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  expect(quarantineMs(1e6)).toBe(60_000);
  expect(quarantine.completed(mallory)).toBe(true);
  expect(quarantine.pauseMs(mallory)).toBe(0);
  quarantine.failed(mallory, error);
  expect(quarantine.pauseMs(mallory)).toBe(2000);
});

it("takes nobody's jobs", () => {
  expect(quarantine.failed({ user_id: "anonymous", type: "paint" }, error)).toBe(false);
  expect(quarantine.all()).toEqual([]);
});

it("shows who waits, since when and why, and forgets who did nothing for ten minutes", () => {
  quarantine.failed(mallory, error);
  quarantine.pauseMs(mallory);
  expect(quarantine.all()).toEqual([
    { userId: "mallory", type: "paint", failures: 1, error, sinceMs: 1000, untilMs: 3000 },
  ]);
  nowMs += 3000;
  expect(quarantine.all()).toMatchObject([{ untilMs: null }]);
  nowMs += 600_000;
  expect(quarantine.all()).toEqual([]);
  expect(quarantine.has(mallory)).toBe(false);
});

it("remembers a bounded number", () => {
  for (let index = 0; index < 1500; index++) quarantine.failed({ user_id: `user-${index}`, type: "paint" }, error);
  expect(quarantine.all()).toHaveLength(1000);
  expect(quarantine.has({ user_id: "user-1499", type: "paint" })).toBe(true);
});

it("says whose jobs are to be skipped while their pause lasts, and when the next pause ends", () => {
  quarantine.failed(mallory, error);
  expect([quarantine.waiting, quarantine.nextEndMs]).toEqual([[], null]);
  quarantine.pauseMs(mallory);
  quarantine.failed({ ...mallory, user_id: "trudy" }, error);
  nowMs += 500;
  quarantine.pauseMs({ ...mallory, user_id: "trudy" });
  const both = ["mallory", "trudy"].map((userId) => ({ userId, type: "paint" }));
  expect([quarantine.waiting, quarantine.nextEndMs]).toEqual([both, 3000]);
  nowMs = 3000;
  expect([quarantine.waiting, quarantine.nextEndMs]).toEqual([both.slice(1), 3500]);
  nowMs = 3500;
  expect([quarantine.waiting, quarantine.nextEndMs]).toEqual([[], null]);
});

it("has no more skipped than a source looks for", () => {
  for (let index = 0; index < 40; index++) {
    const member = { user_id: `user-${index}`, type: "paint" };
    quarantine.failed(member, error);
    quarantine.pauseMs(member);
  }
  const { waiting } = quarantine;
  expect(waiting).toHaveLength(32);
  expect(waiting.at(-1)).toEqual({ userId: "user-39", type: "paint" });
});
