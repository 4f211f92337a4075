import { expect, it } from "vitest";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { testHandlers } from "#test/support/runtime.ts";
import { unknownEndpointTypes } from "./endpoint-types.ts";

it("names the settings of endpoints whose job type no handler has", async () => {
  const registry = await loadHandlers(testHandlers);
  const unknown = (types: Record<string, string>, defaultType?: string) =>
    unknownEndpointTypes({ types: new Map(Object.entries(types)), defaultType }, registry);
  expect(unknown({ lakes: "noop" }, "parent")).toEqual([]);
  expect(unknown({})).toEqual([]);
  expect(unknown({ lakes: "noop", hills: "noob" }, "parents")).toEqual([
    { setting: "RUNPOD_JOB_TYPE", type: "parents" },
    { setting: "RUNPOD_ENDPOINT_TYPES", type: "noob" },
  ]);
});

it("leaves a type whose file cannot be used to the problem that it is", async () => {
  const registry = { get: () => undefined, problems: [{ type: "lakes", problem: "is broken" }] };
  expect(unknownEndpointTypes({ types: new Map(), defaultType: "lakes" }, registry)).toEqual([]);
});
