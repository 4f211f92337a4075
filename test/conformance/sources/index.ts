import { afterEach, beforeEach, describe } from "vitest";
import { describeCancelling } from "./cancelling.ts";
import { describeDelivering } from "./delivering.ts";
import { describeDepending } from "./depending.ts";
import { describeDiscarding } from "./discarding.ts";
import { describeEnding } from "./ending.ts";
import { describeExpiring } from "./expiring.ts";
import { allCapabilities, type Capabilities, type Harness, type Suite } from "./harness.ts";
import { describeLeases } from "./leases.ts";
import { describeLogging } from "./logging.ts";
import { describeOffering } from "./offering.ts";
import { describeOrdering } from "./ordering.ts";
import { describeQueueing } from "./queueing.ts";
import { describeSettling } from "./settling.ts";
import { describeSkipping } from "./skipping.ts";
import { describeTaking } from "./taking.ts";
import { describeWaiting } from "./waiting.ts";

export { allCapabilities, type Capabilities, type Harness, type Side } from "./harness.ts";

/**
 * The tests that every source passes: the contract of job-source.ts, sentence by sentence.
 *
 * @param factory makes an empty storage with one container on it, anew for each test
 * @param capabilities what the source's service offers; the rest is skipped, visibly
 */
export function describeJobSource(
  name: string,
  factory: () => Promise<Harness>,
  capabilities: Capabilities = allCapabilities,
): void {
  describe(`${name}, as a job source`, () => {
    let current: Harness | undefined;

    beforeEach(async () => {
      current = await factory();
    });

    afterEach(async () => {
      await current?.close();
      current = undefined;
    });

    const suite: Suite = {
      capabilities,
      harness() {
        if (current === undefined) throw new Error("a harness exists only while a test runs");
        return current;
      },
    };
    describeTaking(suite);
    describeSettling(suite);
    describeLeases(suite);
    describeCancelling(suite);
    describeDelivering(suite);
    describeEnding(suite);
    describeLogging(suite);
    describeOffering(suite);
    describeSkipping(suite);
    describeExpiring(suite);
    describeQueueing(suite);
    describeOrdering(suite);
    describeDepending(suite);
    describeDiscarding(suite);
    describeWaiting(suite);
  });
}
