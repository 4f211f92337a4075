import { expect, it } from "vitest";
import { executorEnvironment } from "./executor-environment.ts";

it("keeps back what opens the app, the queue or the platform", () => {
  const environment = {
    SUPABASE_SERVICE_ROLE_KEY: "s",
    REDIS_URL: "redis://127.0.0.1",
    HTTPS_PROXY: "http://me:secret@proxy",
    CUDA_VISIBLE_DEVICES: "1",
  };
  const kept = executorEnvironment(environment);
  expect(kept).toMatchObject({ CUDA_VISIBLE_DEVICES: "1" });
  expect(Object.keys(kept).filter((name) => name in environment)).toEqual(["CUDA_VISIBLE_DEVICES"]);
});

it("gives freed memory back to the system, unless the operator has set when", () => {
  expect(executorEnvironment({}).MALLOC_TRIM_THRESHOLD_).toBe("131072");
  expect(executorEnvironment({ MALLOC_TRIM_THRESHOLD_: "-1" }).MALLOC_TRIM_THRESHOLD_).toBe("-1");
});
