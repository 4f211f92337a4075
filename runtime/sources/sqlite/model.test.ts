import { testEndsAgainstModel } from "#test/conformance/ends/index.ts";
import { testAgainstModel } from "#test/conformance/sources/model.ts";
import { openHarness, type SqliteHarness } from "./testing/sqlite-harness.ts";

let harness: SqliteHarness;

testAgainstModel({
  runs: Number(process.env.RUNS ?? 100),
  async open() {
    harness = await openHarness({ durable: false });
    return harness;
  },
  nowMs: () => harness.nowMs(),
});

testEndsAgainstModel({ runs: 12, open: () => openHarness({ durable: false }) });
