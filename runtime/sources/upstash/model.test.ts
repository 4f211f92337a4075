import { expect } from "vitest";
import { testEndsAgainstModel } from "#test/conformance/ends/index.ts";
import { worker } from "#test/conformance/sources/harness.ts";
import { testAgainstModel } from "#test/conformance/sources/model.ts";
import type { ModelQueue } from "#test/conformance/sources/model-queue.ts";
import { membersOf, openHarness, useGateway } from "./testing/upstash-harness.ts";

const shared = useGateway();

testAgainstModel({
  runs: Number(process.env.RUNS ?? 60),
  async open() {
    // The server's clock goes on while a sequence runs: that is nothing beside what is let go by.
    const harness = await openHarness(shared.gateway, { events: false, random: () => 0, leaseSeconds: 1800 });
    return { ...harness, advance: (ms) => harness.hasten(ms) };
  },
  losing: {
    on() {
      let isLost = false;
      shared.faults = ({ commands }) => {
        // By its hash a script may be unknown, and then nothing is applied.
        if (isLost || commands[0]?.[0]?.toString().toLowerCase() === "flushall") return undefined;
        isLost = true;
        return { kind: "drop", at: "after" };
      };
    },
    off() {
      shared.faults = undefined;
    },
  },
  check: checkPlaces,
});

testEndsAgainstModel({
  runs: 6,
  async open() {
    const harness = await openHarness(shared.gateway, { events: false, random: () => 0 });
    return { ...harness, advance: (ms) => harness.hasten(ms) };
  },
});

/** Each job is in one place: in the ready queue, parked, or in the timetable while it is not settled, in none when it is. */
async function checkPlaces(model: ModelQueue): Promise<void> {
  const keys = [`ourvidz:ready:${worker}`, `ourvidz:parked:${worker}`, "ourvidz:timetable"];
  const [ready = [], parked = [], timed = []] = await membersOf(shared.gateway.client(), keys);
  const places = [...ready, ...parked, ...timed.filter((member) => !member.startsWith(":"))]
    .map((member) => member.split(":")[1])
    .toSorted();
  const expected = [...model.jobs.values()]
    .filter(({ status }) => status === "queued" || status === "running" || status === "failed")
    .map((job) => job.id)
    .toSorted();
  expect(places).toEqual(expected);
}
