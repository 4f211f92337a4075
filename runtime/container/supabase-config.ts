import { z } from "zod";
import { numberFrom, wholeNumberFrom } from "#contract/fields.ts";
import { headerSecret } from "#runtime/lib/environment.ts";

/*
 * The part of the environment that connects the container to an app: its Supabase project, where callbacks go, and
 * from where reference inputs may come.
 */
export interface SupabaseConfig {
  /** Without a slash at the end: `https://<project>.supabase.co`. */
  readonly url: string;
  /** The `service_role` JWT of older projects, or a secret key (`sb_secret_…`). */
  readonly serviceKey: string;
}

export interface CallbackConfig {
  readonly url: string;
  /** Signs what is sent; null sends it unsigned. */
  readonly secret: string | null;
  /** `urls` sends assets as paths, for older consumers. */
  readonly assets: "objects" | "urls";
}

export interface WebhookConfig {
  /** Signs what is sent to the webhooks of jobs; null sends it unsigned. */
  readonly secret: string | null;
  /** `host` or `host:port`: these may be plain http and may have a private address. */
  readonly allowedHosts: readonly string[];
}

export interface InputsConfig {
  /** `host` or `host:port`: these may be plain http and may have a private address. */
  readonly allowedHosts: readonly string[];
  readonly cacheBytes: number;
  /** Of one picture or video. */
  readonly maxInputBytes: number;
  /** Of one LoRA file. */
  readonly maxLoraBytes: number;
  readonly loraCacheBytes: number;
  readonly uploads: {
    /** Of one user's files together. */
    readonly userBytes: number;
    readonly totalBytes: number;
    /** How long one is kept after it was uploaded, or named by a job, for the last time. */
    readonly keepMs: number;
  };
}

const httpAddress = (what: string) =>
  z
    .url({ protocol: /^https?$/, error: `must be the http(s) address of ${what}` })
    .transform((address) => address.replace(/\/+$/, ""))
    .optional();

/** A key that browsers have would be refused at every call, and only there; so it is checked here. */
const serviceKey = headerSecret
  .refine(
    (key) => !isBrowserKey(key),
    "is the key for browsers (anon or publishable); the container needs the service key",
  )
  .optional();

const hosts = z
  .string()
  .default("")
  .transform((text) =>
    text
      .split(",")
      .map((host) => host.trim().toLowerCase())
      .filter((host) => host !== ""),
  )
  .pipe(
    z.array(
      z
        .string()
        .regex(
          /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/,
          "must be hosts such as files.example:8080, separated by commas",
        ),
    ),
  );

export const supabaseEnvironment = {
  SUPABASE_URL: httpAddress("the Supabase project, such as https://abcd.supabase.co").refine(
    (address) => !/\/(?:rest|auth|storage|functions)\/v1$/.test(address ?? ""),
    "must be the project's address alone, without /rest/v1 or the like",
  ),
  SUPABASE_SERVICE_KEY: serviceKey,
  SUPABASE_SERVICE_ROLE_KEY: serviceKey,
  SUPABASE_SECRET_KEY: serviceKey,
  JOB_CALLBACK_SECRET: z
    .string()
    .min(16, "needs 16 characters or more; make one with: openssl rand -hex 32")
    .optional(),
  WEBHOOK_SECRET: z.string().min(16, "needs 16 characters or more; make one with: openssl rand -hex 32").optional(),
  WEBHOOK_HOSTS_ALLOWED: hosts,
  CALLBACK_URL: httpAddress("the callback endpoint"),
  CALLBACK_ASSETS: z.enum(["objects", "urls"]).default("objects"),
  HEARTBEAT_SECONDS: numberFrom(0, 3600).default(60),
  INPUT_HOSTS_ALLOWED: hosts,
  INPUT_MAX_MB: wholeNumberFrom(1, 100_000).default(50),
  INPUT_CACHE_MB: wholeNumberFrom(0, 1_000_000).default(1024),
  LORA_MAX_MB: wholeNumberFrom(1, 1_000_000).default(2048),
  LORA_CACHE_MB: wholeNumberFrom(0, 1_000_000).default(10_240),
  UPLOAD_USER_MB: wholeNumberFrom(0, 1_000_000).default(4096),
  UPLOAD_TOTAL_MB: wholeNumberFrom(0, 10_000_000).default(20_480),
  UPLOAD_KEEP_HOURS: numberFrom(0.01, 8760).default(24),
};

type Values = z.output<z.ZodObject<typeof supabaseEnvironment>>;

export const supabaseSecrets = [
  "SUPABASE_SERVICE_KEY",
  "SUPABASE_SERVICE_ROLE_KEY",
  "SUPABASE_SECRET_KEY",
  "JOB_CALLBACK_SECRET",
  "WEBHOOK_SECRET",
] as const;

/** What is wrong between variables that are right by themselves. */
export function supabaseProblems(values: Values): string[] {
  const key = keyOf(values);
  if (values.SUPABASE_URL !== undefined && key === undefined)
    return ["SUPABASE_SERVICE_KEY: must be set beside SUPABASE_URL (the project's service_role or secret key)"];
  if (values.SUPABASE_URL === undefined && key !== undefined)
    return ["SUPABASE_URL: must be set beside the service key, such as https://abcd.supabase.co"];
  return [];
}

export function supabaseConfig(values: Values): SupabaseConfig | null {
  const key = keyOf(values);
  return values.SUPABASE_URL === undefined || key === undefined ? null : { url: values.SUPABASE_URL, serviceKey: key };
}

/** Callbacks go to `CALLBACK_URL`, else to the project's `job-callback` function, else nowhere but the local record. */
export function callbackConfig(values: Values): CallbackConfig | null {
  const url =
    values.CALLBACK_URL ??
    (values.SUPABASE_URL === undefined ? undefined : `${values.SUPABASE_URL}/functions/v1/job-callback`);
  return url === undefined ? null : { url, secret: values.JOB_CALLBACK_SECRET ?? null, assets: values.CALLBACK_ASSETS };
}

export function webhookConfig(values: Values): WebhookConfig {
  return { secret: values.WEBHOOK_SECRET ?? null, allowedHosts: values.WEBHOOK_HOSTS_ALLOWED };
}

export function inputsConfig(values: Values): InputsConfig {
  const megabyte = 1024 * 1024;
  return {
    allowedHosts: values.INPUT_HOSTS_ALLOWED,
    cacheBytes: values.INPUT_CACHE_MB * megabyte,
    maxInputBytes: values.INPUT_MAX_MB * megabyte,
    maxLoraBytes: values.LORA_MAX_MB * megabyte,
    loraCacheBytes: values.LORA_CACHE_MB * megabyte,
    uploads: {
      userBytes: values.UPLOAD_USER_MB * megabyte,
      totalBytes: values.UPLOAD_TOTAL_MB * megabyte,
      keepMs: values.UPLOAD_KEEP_HOURS * 3_600_000,
    },
  };
}

function keyOf(values: Values): string | undefined {
  return values.SUPABASE_SERVICE_KEY ?? values.SUPABASE_SERVICE_ROLE_KEY ?? values.SUPABASE_SECRET_KEY;
}

/** Publishable keys say so in their name, older ones in the `role` of their JWT. */
function isBrowserKey(key: string): boolean {
  if (key.startsWith("sb_publishable_")) return true;
  const [, payload] = key.split(".");
  if (payload === undefined) return false;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString());
    return typeof claims === "object" && claims !== null && "role" in claims && claims.role === "anon";
  } catch {
    return false;
  }
}
