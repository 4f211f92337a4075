import { describeJobSource } from "../conformance.ts";
import { openHarness } from "./testing/sqlite-harness.ts";

describeJobSource("sqlite", () => openHarness());
