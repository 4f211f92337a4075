import { allCapabilities, describeJobSource } from "../conformance.ts";
import { openHarness, useGateway } from "./testing/upstash-harness.ts";

const shared = useGateway();

describeJobSource("upstash", () => openHarness(shared.gateway), { ...allCapabilities, dependencies: false });
