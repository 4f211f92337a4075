import { describeJobSource } from "../conformance.ts";
import { openHarness } from "./sqlite-harness.ts";

describeJobSource("sqlite", openHarness);
