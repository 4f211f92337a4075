import { allCapabilities, describeJobSource } from "#test/conformance/sources/index.ts";
import { openHarness, useGateway } from "./testing/upstash-harness.ts";

const shared = useGateway();

describeJobSource("upstash", () => openHarness(shared.gateway), {
  ...allCapabilities,
  dependencies: false,
  forgets: true,
});
