import { allCapabilities, describeJobSource } from "#test/conformance/sources/index.ts";
import { openHarness, useProject } from "./testing/supabase-harness.ts";

const shared = useProject();

describeJobSource("supabase", () => openHarness(shared), {
  ...allCapabilities,
});
