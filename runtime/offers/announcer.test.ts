import { pino } from "pino";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Offer } from "#runtime/sources/job-source.ts";
import { Announcer } from "./announcer.ts";

const offering = (...types: string[]): ReadonlyMap<string, Offer> =>
  new Map([["test", { types, defaultModelTypes: types, models: [] }]]);

const source = {
  async announce(offers: ReadonlyMap<string, Offer>) {
    if (isAway) throw new Error("the queue does not answer");
    heard.push(offers);
  },
};
let heard: ReadonlyMap<string, Offer>[];
let isAway: boolean;
let announcer: Announcer;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  heard = [];
  isAway = false;
  // A source that has nothing to announce to is left alone.
  announcer = new Announcer([source, {}], pino({ level: "silent" }));
});
afterEach(() => vi.useRealTimers());

it("announces at the start, every 45 seconds, and withdraws at the end", async () => {
  announcer.offer(offering("count"));
  await vi.advanceTimersByTimeAsync(1);
  expect(heard).toEqual([offering("count")]);
  await vi.advanceTimersByTimeAsync(44_000);
  announcer.offer(offering("count"));
  expect(heard).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1000);
  expect(heard).toHaveLength(2);
  await announcer.stop();
  expect(heard.at(-1)).toEqual(new Map());
  await vi.advanceTimersByTimeAsync(600_000);
  expect(heard).toHaveLength(3);
});

it("announces a change soon, and what flickers at most once a second", async () => {
  for (const types of [["count"], ["count", "paint"], ["count"], ["paint"]]) {
    announcer.offer(offering(...types));
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(heard).toEqual([offering("count")]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(heard).toEqual([offering("count"), offering("paint")]);
});

it("withdraws nothing where nothing is known to be announced, and what may have been", async () => {
  announcer = new Announcer([source], pino({ level: "silent" }), new Map());
  announcer.offer(new Map());
  await vi.advanceTimersByTimeAsync(100_000);
  await announcer.stop();
  expect(heard).toEqual([]);
  announcer = new Announcer([source], pino({ level: "silent" }), new Map());
  isAway = true;
  announcer.offer(offering("count"));
  await vi.advanceTimersByTimeAsync(1000);
  isAway = false;
  await announcer.stop();
  expect(heard).toEqual([new Map()]);
});

it("tries again until the source has it", async () => {
  isAway = true;
  announcer.offer(offering("count"));
  await vi.advanceTimersByTimeAsync(25_000);
  expect(heard).toEqual([]);
  isAway = false;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(heard).toEqual([offering("count")]);
});
