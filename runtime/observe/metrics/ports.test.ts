import { pino } from "pino";
import { expect, it } from "vitest";
import { type JobCallback, jobCallback } from "#contract/callback.ts";
import { CodedError, type ErrorCode, PermanentError, RetryableError } from "#contract/errors.ts";
import { parsePrometheus, valuesOf } from "#test/support/prometheus.ts";
import { createMetrics } from "./metrics.ts";
import { measuredCallback, measuredStore, recordFailure } from "./ports.ts";
import { MetricsRegistry } from "./registry.ts";

function setUp() {
  const registry = new MetricsRegistry({ jobTypes: [], log: pino({ level: "silent" }) });
  const values = async (name: string, ...labels: string[]) =>
    valuesOf(parsePrometheus(await registry.text()), name, ...labels);
  const raised = async () =>
    Object.entries(await values("ourvidz_alarms_total", "alarm")).flatMap(([alarm, count]) => (count > 0 ? alarm : []));
  return { metrics: createMetrics(registry), values, raised };
}

const never = new AbortController().signal;
const stored = {
  bucket: "sdxl",
  path: "ann/job/0.png",
  userId: "ann",
  jobId: "job",
  file: "/x",
  mimeType: "image/png",
};
const callback: JobCallback = jobCallback.parse({
  job_id: "job",
  status: "failed",
  attempt: 1,
  assets: [],
  error_message: "no",
  metadata: {},
});

it.each<[ErrorCode, string[]]>([
  ["QUEUE_OVER_QUOTA", ["over_quota"]],
  ["QUEUE_FULL", ["full"]],
  ["DISK_FULL", ["full"]],
  ["CONFIG_INVALID", ["access_refused"]],
  ["STORAGE_REFUSED", ["storage_refused"]],
  ["QUEUE_UNREACHABLE", []],
  ["INTERNAL", []],
])("%s raises %j", async (code, expected) => {
  const { metrics, values, raised } = setUp();
  recordFailure(metrics, "source", new CodedError(code, "It failed."));
  expect(await raised()).toEqual(expected);
  expect(await values("ourvidz_port_errors_total", "port", "code")).toEqual({ [`source,${code}`]: 1 });
});

it("begins every alarm at 0, so that the first one is an increase", async () => {
  const { values } = setUp();
  const alarms = await values("ourvidz_alarms_total", "alarm");
  expect(Object.keys(alarms)).toContain("callback_refused");
  expect(new Set(Object.values(alarms))).toEqual(new Set([0]));
});

it("times files that are stored and files that are not, and lets the error through", async () => {
  const { metrics, values, raised } = setUp();
  const failures = [undefined, new RetryableError("busy", { code: "STORAGE_UNREACHABLE" })];
  const store = measuredStore(
    {
      name: "test",
      async put() {
        const failure = failures.shift();
        if (failure) throw failure;
      },
      url: async (bucket, path) => `https://files.example.com/${bucket}/${path}`,
      removeJob: async () => 3,
    },
    metrics,
  );
  await store.put(stored, never);
  await expect(store.put(stored, never)).rejects.toMatchObject({ code: "STORAGE_UNREACHABLE" });
  expect(await store.url("sdxl", "a")).toBe("https://files.example.com/sdxl/a");
  expect(await store.removeJob({ bucket: "sdxl", userId: "ann", jobId: "a" }, never)).toBe(3);
  expect(await values("ourvidz_upload_seconds_count", "store", "outcome")).toEqual({
    "test,stored": 1,
    "test,failed": 1,
  });
  expect(await values("ourvidz_port_errors_total", "port", "code")).toEqual({ "store,STORAGE_UNREACHABLE": 1 });
  expect(await raised()).toEqual([]);
});

it.each([
  [undefined, "taken", []],
  [new RetryableError("503", { code: "CALLBACK_UNREACHABLE" }), "failed", []],
  [new RetryableError("401", { code: "CALLBACK_REFUSED" }), "failed", ["callback_refused"]],
  [new PermanentError("422", { code: "CALLBACK_REFUSED" }), "refused", ["callback_refused"]],
] as const)("counts a callback that ended with %o as %s", async (failure, outcome, alarms) => {
  const { metrics, values, raised } = setUp();
  const measured = measuredCallback(
    {
      name: "test",
      async send() {
        if (failure) throw failure;
      },
    },
    metrics,
  );
  await measured.send(callback, never).catch((error: unknown) => expect(error).toBe(failure));
  expect(await values("ourvidz_callback_seconds_count", "status", "outcome")).toEqual({ [`failed,${outcome}`]: 1 });
  expect(await raised()).toEqual(alarms);
});
