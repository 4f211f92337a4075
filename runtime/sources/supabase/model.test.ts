import { testEndsAgainstModel } from "#test/conformance/ends/index.ts";
import { testAgainstModel } from "#test/conformance/sources/model.ts";
import { openHarness, useProject } from "./testing/supabase-harness.ts";

const shared = useProject();

testAgainstModel({
  runs: Number(process.env.RUNS ?? 15),
  open: () => openHarness(shared, { random: () => 0 }),
  losing: {
    on() {
      let isLost = false;
      shared.fault = () => {
        if (isLost) return undefined;
        isLost = true;
        return "lose";
      };
    },
    off() {
      shared.fault = undefined;
    },
  },
});

testEndsAgainstModel({ runs: 2, open: () => openHarness(shared, { random: () => 0 }) });
