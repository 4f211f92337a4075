import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { numberFrom, wholeNumberFrom } from "#contract/fields.ts";
import { headerSecret } from "#runtime/lib/environment.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { defineSource } from "../source-definition.ts";
import { besideTake, namesJob } from "./protocol/url-templates.ts";

/** What stands in it is replaced by this container's and the job's names. */
const template = z
  .string()
  .regex(/^https?:\/\/[^\s]+$/, "must be the http(s) address that RunPod gives to its containers")
  .optional();

const environment = {
  RUNPOD_WEBHOOK_GET_JOB: template,
  RUNPOD_WEBHOOK_POST_OUTPUT: template,
  RUNPOD_WEBHOOK_POST_STREAM: template,
  /** As some call the one before. */
  RUNPOD_WEBHOOK_JOB_STREAM: template,
  RUNPOD_WEBHOOK_PING: template,
  RUNPOD_PING_INTERVAL: wholeNumberFrom(1, 3_600_000).default(10_000),
  RUNPOD_AI_API_KEY: headerSecret.optional(),
  RUNPOD_POD_ID: z.string().min(1).optional(),
  RUNPOD_GPU_TYPE_ID: z.string().min(1).optional(),
  RUNPOD_JOB_TYPE: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_]{0,63}$/, "must be a job type's name in snake_case")
    .optional(),
  RUNPOD_MAX_CONCURRENCY: wholeNumberFrom(1, 100).default(1),
  RUNPOD_REFRESH_AFTER_JOBS: wholeNumberFrom(0, 1_000_000).default(0),
  RUNPOD_MIN_MEMORY_GB: numberFrom(0, 10_000).default(4),
  RUNPOD_MIN_DISK_PERCENT: numberFrom(0, 100).default(10),
  RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: z.string().optional(),
  RUNPOD_SKIP_GPU_CHECK: z.string().optional(),
};

const yes = new Set(["1", "true", "yes"]);
const isYes = (value = "") => yes.has(value.toLowerCase());

/** Results that name no job would all be posted to one address, and be answered as those of no job. */
function outputProblems(output: string | undefined): string[] {
  if (output === undefined) return ["RUNPOD_WEBHOOK_POST_OUTPUT: must be set beside RUNPOD_WEBHOOK_GET_JOB"];
  if (namesJob(output)) return [];
  return [
    "RUNPOD_WEBHOOK_POST_OUTPUT: must have $ID in its path or query, for the job's id; a shell keeps it in single quotes",
  ];
}

/** Stops come, and batches are taken, where the address of the takes has another name in it. */
function warnOfNoStops(takeUrl: string, log: Logger | undefined): void {
  if (besideTake(takeUrl, "job-stop") !== null) return;
  log?.warn(
    {},
    "RUNPOD_WEBHOOK_GET_JOB has no /job-take/ in it: this container does not hear which jobs RunPod stops, and runs them to their ends",
  );
}

/** A RunPod serverless endpoint. */
export const runpod = defineSource({
  name: "runpod",
  environment,
  secrets: ["RUNPOD_AI_API_KEY"],
  needs: ["RUNPOD_WEBHOOK_GET_JOB"],
  usedWhenConfigured: true,
  description: "the RunPod endpoint that this container works for, whose queue takes no jobs here",
  problems: ({ RUNPOD_WEBHOOK_GET_JOB: take, RUNPOD_WEBHOOK_POST_OUTPUT: output }) =>
    take === undefined ? [] : outputProblems(output),
  settings(values, { workerId, leaseSeconds }) {
    const { RUNPOD_WEBHOOK_GET_JOB: takeUrl, RUNPOD_WEBHOOK_POST_OUTPUT: outputUrl } = values;
    if (takeUrl === undefined || outputUrl === undefined) return null;
    return {
      takeUrl,
      outputUrl,
      streamUrl: values.RUNPOD_WEBHOOK_POST_STREAM ?? values.RUNPOD_WEBHOOK_JOB_STREAM ?? null,
      pingUrl: values.RUNPOD_WEBHOOK_PING ?? null,
      // In whole seconds, as the official worker counts.
      pingIntervalMs: Math.max(1, Math.floor(values.RUNPOD_PING_INTERVAL / 1000)) * 1000,
      apiKey: values.RUNPOD_AI_API_KEY,
      podId: values.RUNPOD_POD_ID,
      workerId: values.RUNPOD_POD_ID ?? workerId,
      gpuType: values.RUNPOD_GPU_TYPE_ID,
      defaultType: values.RUNPOD_JOB_TYPE,
      maxConcurrency: values.RUNPOD_MAX_CONCURRENCY,
      refreshAfterJobs: values.RUNPOD_REFRESH_AFTER_JOBS,
      fitness: isYes(values.RUNPOD_SKIP_AUTO_SYSTEM_CHECKS)
        ? null
        : {
            minMemoryGb: values.RUNPOD_MIN_MEMORY_GB,
            minDiskPercent: values.RUNPOD_MIN_DISK_PERCENT,
            needsGpu: values.RUNPOD_GPU_TYPE_ID !== undefined && !isYes(values.RUNPOD_SKIP_GPU_CHECK),
          },
      leaseSeconds,
    };
  },
  async connect(settings, { workers, log, jobTypes, runsHere, requestStop, dataFolder }) {
    const [{ RunpodSource }, { assertFit, noPings, reportUnfit }] = await Promise.all([
      import("./runpod-source.ts"),
      import("./fitness.ts"),
    ]);
    // A command of a person takes no jobs.
    const isContainer = workers.length > 0;
    if (isContainer) {
      await assertFit(settings, log);
      warnOfNoStops(settings.takeUrl, log);
      if (settings.pingUrl === null) log?.warn({}, noPings);
    }
    const source = new RunpodSource({
      ...settings,
      ...(isContainer ? {} : { pingUrl: null }),
      ...(isContainer && dataFolder !== undefined ? { failuresFolder: join(dataFolder, "runpod") } : {}),
      hostname: hostname(),
      log,
      handlerOf: (type) => jobTypes?.get(type),
      knownTypes: () => jobTypes?.types ?? [],
      ...(runsHere === undefined ? {} : { runsHere }),
      ...(requestStop === undefined ? {} : { requestStop }),
    });
    const connected = { source, queue: null, sessions: null, trouble: () => source.trouble };
    if (!isContainer || settings.fitness === null) return connected;
    return { ...connected, reportUnfit: (problem) => reportUnfit(settings, problem, log) };
  },
  probe: {
    name: "runpod",
    run: async (settings) => (await import("./fitness.ts")).probeRunpod(settings),
  },
});
