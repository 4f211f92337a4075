import { isIPv4 } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { keyProblem } from "#contract/environment-text.ts";
import { CodedError } from "#contract/errors.ts";
import { numberFrom, wholeNumberFrom } from "#contract/fields.ts";
import { engineEnvironment, engineProblems, enginesOf } from "#runtime/engines/engine-environment.ts";
import type { Engines } from "#runtime/engines/engine-settings.ts";
import type { HubSettings } from "#runtime/hub/hub-settings.ts";
import { parseWantedModel, type WantedModel } from "#runtime/hub/repository.ts";
import type { HandlerProblem } from "#runtime/job-types/registry.ts";
import { commaSeparated, type Environment, readVariables } from "#runtime/lib/environment.ts";
import type { LogFormat } from "#runtime/observe/log.ts";
import { type ConfiguredSources, readSources, sourceNames } from "#runtime/sources/configured-sources.ts";
import {
  type CallbackConfig,
  callbackConfig,
  type InputsConfig,
  inputsConfig,
  type SupabaseConfig,
  supabaseConfig,
  supabaseEnvironment,
  supabaseProblems,
  supabaseSecrets,
  type WebhookConfig,
  webhookConfig,
} from "./supabase-config.ts";

/*
 * The environment, read once at the entry by one schema. Everything that is wrong is listed in one message.
 * With nothing set, the embedded column of every port is used.
 */
const projectFolder = fileURLToPath(new URL("../..", import.meta.url));

const seconds = (fallback: number, min: number, max: number) => numberFrom(min, max).default(fallback);

const list = z.string().default("").transform(commaSeparated);

const refusedKeys = new Set(["default_key_123"]);

/** `sdxl=owner/name@revision`, several between spaces, commas or line breaks. */
const wantedModels = z
  .string()
  .default("")
  .transform((text) => text.split(/[\s,]+/).filter((part) => part !== ""))
  .transform((parts, context) =>
    parts.flatMap((part) => {
      try {
        return [parseWantedModel(part)];
      } catch (error) {
        context.addIssue({ code: "custom", message: error instanceof Error ? error.message : "is not valid" });
        return [];
      }
    }),
  )
  .refine((models) => new Set(models.map(({ name }) => name)).size === models.length, "names a model twice");

const apiKeys = list.superRefine((keys, context) => {
  for (const key of keys) {
    const problem = keyProblem(key);
    if (problem !== null) context.addIssue({ code: "custom", message: `a key ${problem}` });
    else if (refusedKeys.has(key)) {
      context.addIssue({
        code: "custom",
        message: `the key "${key}" is publicly known; make one with: openssl rand -hex 32`,
      });
    } else if (key.length < 16) {
      context.addIssue({
        code: "custom",
        message: "each key needs 16 characters or more; make one with: openssl rand -hex 32",
      });
    }
  }
});

/** `lakes=sdxl_image_fast`, several between commas. */
const endpointTypes = list
  .pipe(
    z.array(
      z
        .string()
        .regex(
          /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}=[a-z0-9][a-z0-9_]{0,63}$/,
          "must be <endpoint>=<job type>, several between commas",
        ),
    ),
  )
  .transform((pairs) => new Map(pairs.map((pair) => [pair.split("=")[0] ?? "", pair.split("=")[1] ?? ""])));

const environment = z.object({
  DATA_DIR: z.string().min(1).default("data"),
  MODELS_DIR: z.string().min(1).default(join(projectFolder, "models")),
  HANDLERS_DIR: z.string().min(1).default(join(projectFolder, "handlers")),
  PRESETS_DIR: z.string().min(1).optional(),
  WORKERS: list,
  WORKER_ID: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/)
    .optional(),
  SOURCES: list.pipe(z.array(z.enum(sourceNames))),
  HOST: z.string().min(1).default("127.0.0.1"),
  PORT: wholeNumberFrom(0, 65_535).default(7860),
  PUBLIC_URL: z
    .url({ protocol: /^https?$/, error: "must be an http(s) address such as https://worker.example" })
    .refine((address) => isPlainAddress(address), "must be an address alone, without user, query and fragment")
    .optional(),
  WAN_WORKER_API_KEY: apiKeys,
  RUNPOD_POD_ID: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,63}$/, "must be the pod's id as the platform gives it")
    .optional(),
  RUNPOD_ENDPOINT_ID: z.string().min(1).optional(),
  RUNPOD_WEBHOOK_GET_JOB: z.string().optional(),
  RUNPOD_JOB_TYPE: z.string().optional(),
  RUNPOD_ENDPOINT_TYPES: endpointTypes,
  LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
  LOG_FORMAT: z.enum(["json", "pretty"]).optional(),
  LEASE_SECONDS: seconds(30, 1, 3600),
  SHUTDOWN_GRACE_SECONDS: seconds(25, 0, 3600),
  ABORT_GRACE_SECONDS: seconds(20, 0.1, 3600),
  EXECUTOR_RESTART_MAX_SECONDS: seconds(60, 0.5, 3600),
  CALL_TIMEOUT_SECONDS: seconds(120, 0.1, 3600),
  CALLS_WAITING_MAX: wholeNumberFrom(1, 10_000).default(64),
  MODELS: wantedModels,
  WARM_MODELS: list,
  HF_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{1,1000}$/, "must be a token as the hub shows it, without spaces")
    .optional(),
  HF_ENDPOINT: z
    .url({ protocol: /^https?$/, error: "must be the address of the hub or of a mirror of it" })
    .refine((address) => isPlainAddress(address), "must be an address alone, without user, query and fragment")
    .optional(),
  MODEL_MEMORY_MB: wholeNumberFrom(0, 10_000_000).optional(),
  JOB_RETENTION_DAYS: numberFrom(0.01, 3650).default(30),
  FILE_RETENTION_DAYS: numberFrom(0, 3650).default(0),
  DELIVERY_CONCURRENCY: wholeNumberFrom(1, 64).default(4),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url({ protocol: /^https?$/, error: "must be the collector's address, such as http://127.0.0.1:4318" })
    .optional(),
  OTEL_SERVICE_NAME: z.string().min(1).default("ourvidz-worker"),
  ...engineEnvironment,
  ...supabaseEnvironment,
});

type Values = z.output<typeof environment>;

/** Sources are what the environment makes of their definitions: nothing else here knows one by its name. */
export interface Config extends ConfiguredSources {
  readonly dataFolder: string;
  readonly modelsFolder: string;
  readonly handlersFolder: string;
  /** While handlers are written, every change is loaded at once; what cannot be loaded is given to this. */
  readonly onHandlerProblem?: ((problem: HandlerProblem) => void) | undefined;
  /** Presets of prompt enhancement beside those that are shipped; undefined for none. */
  readonly presetsFolder: string | undefined;
  /** Models to fetch where they are missing; jobs that need them wait for that. */
  readonly wantedModels: readonly WantedModel[];
  /** Where models are fetched from. */
  readonly hub: HubSettings;
  /** Models to load before the first job is taken. */
  readonly warmModels: readonly string[];
  /** Workers to run; empty means every worker that has a handler. */
  readonly workers: readonly string[];
  readonly workerId: string;
  /** The app's project: its storage takes the files, its functions take registrations. Null when it is not configured. */
  readonly supabase: SupabaseConfig | null;
  /** Where the app is notified of its jobs; null when only the local record is kept. */
  readonly callback: CallbackConfig | null;
  readonly inputs: InputsConfig;
  readonly webhooks: WebhookConfig;
  /** Time between two registrations of this container's public address; 0 for none. */
  readonly heartbeatSeconds: number;
  /** RunPod's name of this machine, which has a public proxy; undefined elsewhere, and in a serverless endpoint. */
  readonly podId: string | undefined;
  /** The job type of a request at one of this container's own endpoints (`/v2/<name>/…`) that names none. */
  readonly endpoints: {
    readonly types: ReadonlyMap<string, string>;
    readonly defaultType: string | undefined;
  };
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly publicUrl: string | undefined;
    readonly apiKeys: readonly string[];
  };
  readonly log: {
    readonly level: Values["LOG_LEVEL"];
    readonly format: LogFormat | undefined;
  };
  /** Where spans are sent; null for nowhere. */
  readonly tracing: { readonly endpoint: string; readonly serviceName: string } | null;
  readonly leaseSeconds: number;
  /** How long running jobs may go on after SIGTERM before they are released. */
  readonly shutdownGraceSeconds: number;
  /** How long an aborted job may take to stop before its executor is killed. */
  readonly abortGraceSeconds: number;
  /** Limit of the pause before an executor that keeps dying is started again. */
  readonly executorRestartMaxSeconds: number;
  /** How long a call of a handler may wait for its turn, and how long it may run then. */
  readonly callTimeoutSeconds: number;
  /** How many calls over HTTP may wait for one worker. */
  readonly maxWaitingCalls: number;
  /** How much memory the weights of each worker's model may take together; undefined: as the device has room. */
  readonly modelMemoryBytes: number | undefined;
  /** Workers whose jobs an external command runs in the place of the pipelines here. */
  readonly engines: Engines;
  readonly deliveryConcurrency: number;
  /** How long the record of an ended job is kept. Its files are not touched. */
  readonly jobRetentionDays: number;
  /** How long files in the data folder's own store are kept; 0 for ever. */
  readonly fileRetentionDays: number;
}

/** Addresses of jobs' files are made by putting paths behind it. */
function isPlainAddress(address: string): boolean {
  const url = URL.parse(address);
  // What is no address at all has been refused before.
  return url === null || url.username + url.password + url.search + url.hash === "";
}

/** True for an address that only this machine reaches. A name that merely begins like one (`127.example.com`) is not. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/**
 * @param env usually `process.env`; empty strings count as not set
 * @param role of a process that is no container: it may share a container's environment, and its offers must not be taken for that one's
 * @throws CodedError CONFIG_INVALID listing every variable that is wrong and what it should be
 */
export function readConfig(env: Environment, defaultWorkerId: () => string, role?: string): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const read = readVariables(environment, given, secretVariables);
  const sources = readSources(given);
  if (!read.ok) throw invalid([...read.problems, ...sources.problems]);
  const config = {
    ...toConfig(read.values, workerIdOf(read.values, defaultWorkerId, role)),
    engines: enginesOf(read.values, given),
  };
  const { problems, ...chosen } = sources.choose(read.values.SOURCES, config);
  const wrong = [
    ...exposureProblems(read.values),
    ...sources.problems,
    ...problems,
    ...supabaseProblems(read.values),
    ...engineProblems(read.values, given),
  ];
  if (wrong.length > 0) throw invalid(wrong);
  return { ...config, ...chosen };
}

const secretVariables = new Set<string>(["WAN_WORKER_API_KEY", "HF_TOKEN", ...supabaseSecrets]);

function invalid(problems: readonly string[]): CodedError {
  const what = problems.length === 1 ? "a problem" : "problems";
  return new CodedError("CONFIG_INVALID", `The environment has ${what}:\n  ${problems.join("\n  ")}`);
}

/** The console of serverless endpoints reads lines of its own. */
function logFormatOf({ LOG_FORMAT: format, RUNPOD_ENDPOINT_ID: endpointId }: Values): LogFormat | undefined {
  return format ?? (endpointId === undefined ? undefined : "runpod");
}

/** A container of a serverless endpoint has the name of a pod, and no proxy; an emulator may say no more than where jobs are. */
function proxiedPodId(values: Values): string | undefined {
  const { RUNPOD_POD_ID: podId, RUNPOD_ENDPOINT_ID: endpointId, RUNPOD_WEBHOOK_GET_JOB: takeUrl } = values;
  return endpointId === undefined && takeUrl === undefined ? podId : undefined;
}

/** Off loopback, or on a pod whose proxy is public, whoever finds the address could use the GPU: a key is required. */
function exposureProblems(values: Values): string[] {
  if (values.WAN_WORKER_API_KEY.length > 0) return [];
  const because = !isLoopback(values.HOST)
    ? `HOST=${values.HOST} is reachable from outside`
    : proxiedPodId(values) !== undefined
      ? "a RunPod pod is reachable through its public proxy"
      : values.PUBLIC_URL !== undefined
        ? "PUBLIC_URL is set"
        : undefined;
  return because === undefined
    ? []
    : [`WAN_WORKER_API_KEY: ${because}, so a key is required; make one with: openssl rand -hex 32`];
}

function workerIdOf({ WORKER_ID, RUNPOD_POD_ID }: Values, defaultWorkerId: () => string, role?: string): string {
  const named = WORKER_ID ?? RUNPOD_POD_ID ?? defaultWorkerId();
  return role === undefined ? named : `${named}-${role}`;
}

function toConfig(values: Values, workerId: string): Omit<Config, keyof ConfiguredSources | "engines"> {
  return {
    supabase: supabaseConfig(values),
    callback: callbackConfig(values),
    inputs: inputsConfig(values),
    webhooks: webhookConfig(values),
    heartbeatSeconds: values.HEARTBEAT_SECONDS,
    dataFolder: resolve(values.DATA_DIR),
    modelsFolder: resolve(values.MODELS_DIR),
    handlersFolder: resolve(values.HANDLERS_DIR),
    presetsFolder: values.PRESETS_DIR === undefined ? undefined : resolve(values.PRESETS_DIR),
    wantedModels: values.MODELS,
    hub: { endpoint: values.HF_ENDPOINT, token: values.HF_TOKEN },
    warmModels: values.WARM_MODELS,
    workers: values.WORKERS,
    workerId,
    podId: proxiedPodId(values),
    endpoints: { types: values.RUNPOD_ENDPOINT_TYPES, defaultType: values.RUNPOD_JOB_TYPE },
    http: { host: values.HOST, port: values.PORT, publicUrl: values.PUBLIC_URL, apiKeys: values.WAN_WORKER_API_KEY },
    log: { level: values.LOG_LEVEL, format: logFormatOf(values) },
    tracing:
      values.OTEL_EXPORTER_OTLP_ENDPOINT === undefined
        ? null
        : { endpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT, serviceName: values.OTEL_SERVICE_NAME },
    leaseSeconds: values.LEASE_SECONDS,
    shutdownGraceSeconds: values.SHUTDOWN_GRACE_SECONDS,
    abortGraceSeconds: values.ABORT_GRACE_SECONDS,
    executorRestartMaxSeconds: values.EXECUTOR_RESTART_MAX_SECONDS,
    callTimeoutSeconds: values.CALL_TIMEOUT_SECONDS,
    maxWaitingCalls: values.CALLS_WAITING_MAX,
    modelMemoryBytes: values.MODEL_MEMORY_MB === undefined ? undefined : values.MODEL_MEMORY_MB * 2 ** 20,
    jobRetentionDays: values.JOB_RETENTION_DAYS,
    fileRetentionDays: values.FILE_RETENTION_DAYS,
    deliveryConcurrency: values.DELIVERY_CONCURRENCY,
  };
}
