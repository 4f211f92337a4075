import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ErrorReport } from "#contract/errors.ts";
import type { DispatcherState } from "#runtime/dispatch/dispatcher.ts";
import type { ExecutorState } from "#runtime/executor/parent/executor.ts";
import { health } from "./api/health.ts";
import { healthOf, type Vitals } from "./health.ts";
import { routes } from "./index.ts";
import { obstacleOf } from "./ready.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

const startError: ErrorReport = { code: "HANDLER_INVALID", message: "handlers/a.ts: cannot be read" };

function vitals(
  states: ExecutorState[],
  dispatcher: Partial<Vitals["dispatcher"]> = {},
  error: ErrorReport | null = null,
): Vitals {
  const executors = states.map((state, index) => ({ status: { worker: `worker${index}`, state, startError: error } }));
  return {
    executors: new Map(executors.map((executor) => [executor.status.worker, executor])),
    dispatcher: { state: "running", reachesSource: true, ...dispatcher },
  };
}

describe("health and readiness", () => {
  it.each<[string, Vitals, string, string | null]>([
    ["all idle", vitals(["idle", "idle"]), "healthy", null],
    ["one busy", vitals(["busy"]), "healthy", null],
    ["all starting", vitals(["starting"]), "starting", "NOT_READY"],
    ["one still starting", vitals(["idle", "starting"]), "starting", null],
    ["one crashed and waiting", vitals(["idle", "waiting"]), "degraded", null],
    ["the only one crashed", vitals(["waiting"]), "degraded", "NOT_READY"],
    ["one cannot start, and tries again", vitals(["starting"], {}, startError), "degraded", "NOT_READY"],
    ["no source", vitals(["idle"], { reachesSource: false }), "degraded", "NOT_READY"],
    ["paused", vitals(["idle"], { state: "paused" }), "healthy", "NOT_READY"],
    ["shutting down", vitals(["busy"], { state: "stopped" }), "degraded", "SHUTTING_DOWN"],
  ])("%s", (_name, state, status, obstacle) => {
    expect(healthOf(state)).toBe(status);
    expect(obstacleOf(state)?.code ?? null).toBe(obstacle);
  });

  it("do not tell strangers why an executor cannot start", () => {
    expect(JSON.stringify(obstacleOf(vitals(["waiting"], {}, startError)))).not.toContain("handlers/a.ts");
  });

  it.each<DispatcherState>(["paused", "stopped"])("say so when the container is %s", (state) => {
    expect(obstacleOf(vitals(["idle"], { state }))?.message).toMatch(/paused|shutting down/);
  });
});

describe("in a container", () => {
  let container: TestContainer;
  beforeAll(async () => {
    container = await startContainer();
  });
  afterAll(() => container.stop());

  it("GET /health answers before the executors are up, with what the container can do", async () => {
    const { status, json } = await container.call("GET", "/health");
    expect(status).toBe(200);
    const view = health.responses[200]?.parse(json);
    expect(view).toEqual(json);
    expect(json).toMatchObject({ qwen_loaded: false, capabilities: ["gated"] });
    expect(json).toHaveProperty("endpoints", [...new Set(routes.map(({ path }) => path))]);
  });

  it("GET /ready turns from 503 to 200, and back when the container pauses", async () => {
    const job = await container.submitGated();
    await job.open();
    await container.runtime.ended(job.id);
    expect(await container.call("GET", "/ready")).toMatchObject({ status: 200, json: { ready: true } });
    expect(await container.call("GET", "/health")).toMatchObject({ json: { status: "healthy", worker_ready: true } });
    container.runtime.dispatcher.pause();
    expect(await container.call("GET", "/ready")).toMatchObject({ status: 503, json: { code: "NOT_READY" } });
    container.runtime.dispatcher.resume();
    expect(await container.call("GET", "/ready")).toMatchObject({ status: 200 });
  });
});
