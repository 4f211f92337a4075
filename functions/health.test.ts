import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { ErrorReport } from "#contract/errors.ts";
import { problemsOf } from "#runtime/container/problems.ts";
import type { DispatcherState } from "#runtime/dispatch/dispatcher.ts";
import type { ExecutorState } from "#runtime/executor/parent/executor.ts";
import type { Condition } from "#runtime/offers/conditions.ts";
import { health } from "./api/health.ts";
import { healthOf, type Vitals, viewProblem } from "./health.ts";
import { routes } from "./index.ts";
import { obstacleOf } from "./ready.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

const startError: ErrorReport = { code: "HANDLER_INVALID", message: "handlers/a.ts: cannot be read" };

const everything = { types: ["paint"], defaultModelTypes: ["paint"], models: [] };
const cutOff: Condition = {
  worker: "worker0",
  kind: "model",
  subject: "sledge",
  error: { code: "MODEL_INVALID", message: "/srv/models/sledge/unet/model.onnx is cut off" },
  sinceMs: 0,
  nextLookMs: null,
  state: "active",
};
const part = { all: new Map([["worker0", everything]]), conditions: [cutOff], checked: null };
const probing = { ...part, conditions: [{ ...cutOff, state: "probing" as const }] };
const absent = { ...part, conditions: [{ ...cutOff, isAbsence: true }] };
const nothing = {
  all: new Map([["worker0", { types: ["paint"], defaultModelTypes: [], models: [] }]]),
  conditions: [cutOff],
  checked: null,
};

function vitals(
  states: ExecutorState[],
  dispatcher: Partial<Vitals["dispatcher"]> = {},
  error: ErrorReport | null = null,
  offers: Vitals["offers"] = { all: new Map([["worker0", everything]]), conditions: [], checked: null },
): Vitals {
  const executors = states.map((state, index) => ({
    status: { worker: `worker${index}`, state, startError: error, troubleSinceMs: 1000 },
  }));
  return {
    executors: new Map(executors.map((executor) => [executor.status.worker, executor])),
    dispatcher: { state: "running", troubles: [], failure: null, ...dispatcher },
    offers,
    delivery: { alarms: [] },
    warmUp: { isDone: true },
    fetches: { pending: new Map() },
    dataFolder: { problem: null },
    sources: new Map(),
  };
}

const since = { sinceMs: 0, message: "/srv/data, https://redis.example" };
const away = { ...since, source: "upstash", code: "QUEUE_UNREACHABLE" as const };
const full = { ...since, code: "DISK_FULL" as const };
const gone = { ...since, code: "DATA_FOLDER_UNUSABLE" as const };
const refused = { ...since, code: "CALLBACK_REFUSED" as const, step: "report" as const, jobs: 2, needsMending: true };
const evicting: Vitals["sources"] = new Map([
  ["upstash", { problems: () => [{ ...since, code: "CONFIG_INVALID" as const, summary: "Redis may evict jobs." }] }],
]);

const silent: Vitals["sources"] = new Map([["upstash", { trouble: () => away }]]);

describe("health and readiness", () => {
  it.each<[string, Vitals, string, string | null]>([
    ["all idle", vitals(["idle", "idle"]), "healthy", null],
    ["one busy", vitals(["busy"]), "healthy", null],
    ["all starting", vitals(["starting"]), "starting", "NOT_READY"],
    ["one still starting", vitals(["idle", "starting"]), "starting", null],
    ["one crashed and waiting", vitals(["idle", "waiting"]), "degraded", null],
    ["the only one crashed", vitals(["waiting"]), "degraded", "NOT_READY"],
    ["one cannot start, and tries again", vitals(["starting"], {}, startError), "degraded", "NOT_READY"],
    ["a full queue", vitals(["idle"], { troubles: [{ ...away, code: "QUEUE_FULL" }] }), "degraded", "NOT_READY"],
    ["no source", vitals(["idle"], { troubles: [away] }), "degraded", "NOT_READY"],
    ["a dead loop", vitals(["idle"], { failure: { message: "boom", sinceMs: 0 } }), "degraded", "NOT_READY"],
    ["a full disk", { ...vitals(["idle"]), dataFolder: { problem: full } }, "degraded", "NOT_READY"],
    ["a data folder that is gone", { ...vitals(["idle"]), dataFolder: { problem: gone } }, "degraded", "NOT_READY"],
    ["results that cannot be delivered", { ...vitals(["idle"]), delivery: { alarms: [refused] } }, "degraded", null],
    ["no source, while none is taken from", { ...vitals(["busy"]), sources: silent }, "degraded", "NOT_READY"],
    ["models being loaded", { ...vitals(["busy"]), warmUp: { isDone: false } }, "starting", "NOT_READY"],
    ["a source that may lose jobs", { ...vitals(["idle"]), sources: evicting }, "degraded", null],
    ["not yet taking jobs", vitals(["idle"], { state: "starting" }), "starting", "NOT_READY"],
    ["paused", vitals(["idle"], { state: "paused" }), "healthy", "NOT_READY"],
    ["a model is broken, the rest runs", vitals(["idle"], {}, null, part), "degraded", null],
    ["a model was never here, the rest runs", vitals(["idle"], {}, null, absent), "healthy", null],
    ["a model is tried again", vitals(["idle"], {}, null, probing), "healthy", null],
    ["nothing can be run", vitals(["idle"], {}, null, nothing), "degraded", "NOT_READY"],
    ["shutting down", vitals(["busy"], { state: "stopped" }), "degraded", "SHUTTING_DOWN"],
  ])("%s", (_name, state, status, obstacle) => {
    expect(healthOf(state)).toBe(status);
    expect(obstacleOf(state)?.code ?? null).toBe(obstacle);
  });

  it("do not reveal to anonymous callers why an executor cannot start", () => {
    expect(JSON.stringify(obstacleOf(vitals(["waiting"], {}, startError)))).not.toContain("handlers/a.ts");
  });

  it("name every problem since when, and no paths or addresses", () => {
    const parts = vitals(["waiting"], { troubles: [away], failure: { ...since } });
    const problems = problemsOf({
      ...parts,
      dataFolder: { problem: gone },
      delivery: { alarms: [refused] },
      sources: evicting,
    });
    expect(problems.map(({ part, subject, code, summary }) => [part, subject, code, summary])).toEqual([
      ["dispatcher", null, "INTERNAL", "The loop that takes jobs has died: restart the container."],
      ["data folder", null, "DATA_FOLDER_UNUSABLE", "The data folder is gone."],
      ["source", "upstash", "QUEUE_UNREACHABLE", "No jobs can be taken from upstash (QUEUE_UNREACHABLE)."],
      ["source", "upstash", "CONFIG_INVALID", "Redis may evict jobs."],
      ["executor", "worker0", "EXECUTOR_CRASHED", "The executor of worker0 has crashed and is started again."],
      ["delivery", null, "CALLBACK_REFUSED", "2 results wait for the app (CALLBACK_REFUSED)."],
    ]);
    expect(problems.every(({ sinceMs }) => sinceMs !== null)).toBe(true);
    expect(JSON.stringify(problems.map(viewProblem))).not.toMatch(/srv|example/);
  });

  it("name what is not run, and no files", () => {
    const obstacle = obstacleOf(vitals(["idle"], {}, null, nothing));
    expect(obstacle?.message).toContain("model sledge (MODEL_INVALID)");
    expect(JSON.stringify([obstacle, obstacle?.details])).not.toContain("/srv");
  });

  it.each<DispatcherState>(["starting", "paused", "stopped"])("say so when the container is %s", (state) => {
    expect(obstacleOf(vitals(["idle"], { state }))?.message).toContain(
      { starting: "starting", running: "", paused: "paused", stopped: "shutting down" }[state],
    );
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

  it("say so when the loop that takes jobs has died", async () => {
    const broken = await startContainer();
    onTestFinished(() => broken.stop());
    await expect.poll(async () => (await broken.call("GET", "/ready")).status, { timeout: 20_000 }).toBe(200);
    const source = broken.runtime.sources.get("sqlite")?.source;
    if (source === undefined) throw new Error("the embedded source is there");
    source.waitForChange = () => Promise.reject(new Error("a source that breaks its word"));
    broken.runtime.dispatcher.wake();
    await expect
      .poll(async () => await broken.call("GET", "/health"), { timeout: 20_000 })
      .toMatchObject({
        status: 503,
        json: { status: "degraded", problems: [{ part: "dispatcher", code: "INTERNAL", since: expect.any(String) }] },
      });
    expect(await broken.runtime.dispatcher.failed).toBe("a source that breaks its word");
    expect(await broken.call("GET", "/ready")).toMatchObject({ status: 503, json: { code: "NOT_READY" } });
    expect((await broken.call("GET", "/worker/status")).json).toMatchObject({
      problems: [{ message: "a source that breaks its word", since: expect.any(String) }],
    });
  });

  it("GET /ready turns from 503 to 200, and back when the container pauses", async () => {
    const job = await container.submitGated();
    await job.open();
    await container.runtime.ended(job.id);
    expect(await container.call("GET", "/ready")).toMatchObject({ status: 200, json: { ready: true, limited: [] } });
    expect(await container.call("GET", "/health")).toMatchObject({ json: { status: "healthy", worker_ready: true } });
    container.runtime.dispatcher.pause();
    expect(await container.call("GET", "/ready")).toMatchObject({ status: 503, json: { code: "NOT_READY" } });
    container.runtime.dispatcher.resume();
    expect(await container.call("GET", "/ready")).toMatchObject({ status: 200 });
  });
});
