import { currentJobType } from "#contract/job-types.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Config } from "./config.ts";

/**
 * Job types that the settings of endpoints name and no handler has: each request there would fail, and only then say so. A file
 * that is there and cannot be used is a problem of its own, and a new one may come while the container runs.
 */
export function unknownEndpointTypes(
  { types, defaultType }: Config["endpoints"],
  registry: Pick<Registry, "get" | "problems">,
): { readonly setting: string; readonly type: string }[] {
  const named = [
    ...(defaultType === undefined ? [] : [{ setting: "RUNPOD_JOB_TYPE", type: defaultType }]),
    ...[...types.values()].map((type) => ({ setting: "RUNPOD_ENDPOINT_TYPES", type })),
  ];
  const known = (type: string) =>
    registry.get(type) !== undefined || registry.problems.some((problem) => problem.type === type);
  return named.filter(({ type }) => !known(currentJobType(type)));
}
