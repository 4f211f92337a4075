import { z } from "zod";
import { keyProblem, writingProblem } from "../environment-text.ts";
import { CodedError } from "../errors.ts";
import { parseWith } from "../problems.ts";
import { defaultPrefix } from "../queue-keys.ts";

/**
 * What edge functions read from their environment, once, by one schema. Supabase sets the variables that begin with
 * `SUPABASE_`; the others are secrets of the project (`supabase secrets set`). All that is wrong is reported in one message.
 */
export interface EdgeConfig {
  /** Without a slash at the end. */
  readonly supabaseUrl: string;
  /** The project's key for browsers: `anon`, or publishable. */
  readonly browserKey: string;
  /** Keys that act for the project itself; the first one is used for calls of ours, any of them opens. */
  readonly serviceKeys: readonly [string, ...string[]];
  /** Who may have issued a user's token. */
  readonly issuers: readonly string[];
  /** Null where containers claim their jobs from the database. */
  readonly queue: { readonly url: string; readonly token: string; readonly prefix: string } | null;
  /** Null: callbacks need no signature. */
  readonly callbackSecret: string | null;
  readonly callbackSignatures: "dated" | "any";
  /** Opens the containers' own functions. */
  readonly workerKey: string | null;
  /** From which pages browsers may call; `*` for any. */
  readonly allowedOrigins: readonly string[];
  /** `host` or `host:port`: containers there may be registered with plain http and a private address. */
  readonly allowedWorkerHosts: readonly string[];
  /** `host` or `host:port`: what the jobs of signed-in users may name in `webhook_url`. */
  readonly webhookHosts: readonly string[];
}

const list = z
  .string()
  .default("")
  .transform((text) =>
    text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  );

const headerSecret = z.string().superRefine((text, context) => {
  const problem = keyProblem(text);
  if (problem !== null) context.addIssue({ code: "custom", message: problem });
});
const key = headerSecret.optional();

const workerKeys = list.superRefine((keys, context) => {
  const problem = keys.map(keyProblem).find((each) => each !== null);
  if (problem !== undefined) context.addIssue({ code: "custom", message: `a key ${problem}` });
});

/** `{"default": "sb_secret_…"}`, as Supabase gives the new keys to functions. */
const namedKeys = z
  .string()
  .default("{}")
  .transform((text, context) => {
    const keys = z.record(z.string(), z.string().min(1)).safeParse(parseJson(text));
    if (keys.success) {
      const { default: first, ...others } = keys.data;
      return [first, ...Object.values(others)].filter((each) => each !== undefined);
    }
    context.addIssue({ code: "custom", message: "must be a JSON object of keys by name" });
    return z.NEVER;
  });

const address = (what: string) =>
  z
    .url({ protocol: /^https?$/, error: `must be the http(s) address of ${what}` })
    .transform((text) => text.replace(/\/+$/, ""));

const environment = z.object({
  SUPABASE_URL: address("the Supabase project"),
  SUPABASE_ANON_KEY: key,
  SUPABASE_PUBLISHABLE_KEY: key,
  SUPABASE_PUBLISHABLE_KEYS: namedKeys,
  SUPABASE_SERVICE_ROLE_KEY: key,
  SUPABASE_SECRET_KEY: key,
  SUPABASE_SECRET_KEYS: namedKeys,
  AUTH_ISSUERS: list,
  UPSTASH_REDIS_REST_URL: address("the queue's REST API").optional(),
  UPSTASH_REDIS_REST_TOKEN: key,
  UPSTASH_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9:_-]{1,64}$/, "must be 1 to 64 letters, digits, ':', '_' or '-'")
    .default(defaultPrefix),
  JOB_CALLBACK_SECRET: z
    .string()
    .min(16, "needs 16 characters or more; make one with: openssl rand -hex 32")
    .optional(),
  /** Whether callbacks may have the undated signature alone, which can be sent again at any time. */
  CALLBACK_SIGNATURES: z.enum(["dated", "any"]).default("dated"),
  WAN_WORKER_API_KEY: workerKeys,
  ALLOWED_ORIGINS: list,
  WORKER_HOSTS_ALLOWED: list,
  WEBHOOK_HOSTS: list,
});

/** White space around one of these is never meant; of a secret nobody can tell. */
const notSecret = new Set([
  "SUPABASE_URL",
  "AUTH_ISSUERS",
  "UPSTASH_REDIS_REST_URL",
  "ALLOWED_ORIGINS",
  "WORKER_HOSTS_ALLOWED",
  "WEBHOOK_HOSTS",
]);

type Values = z.output<typeof environment>;

/** @throws CodedError CONFIG_INVALID naming every variable that is wrong, none of their values */
export function readEdgeConfig(env: Readonly<Record<string, string | undefined>>): EdgeConfig {
  const given: Record<string, string> = {};
  for (const [name, value = ""] of Object.entries(env)) {
    const meant = notSecret.has(name) ? value.trim() : value;
    if (meant !== "") given[name] = meant;
  }
  const written = Object.keys(environment.shape).flatMap((name) => {
    const problem = writingProblem(given[name] ?? "");
    return problem === null ? [] : [`${name} ${problem}`];
  });
  if (written.length > 0) throw invalid(written);
  const parsed = parseWith(environment, given);
  if (!parsed.ok) throw invalid(parsed.problems.map(({ field, message }) => `${field}: ${message}`));
  return toConfig(parsed.value);
}

function toConfig(values: Values): EdgeConfig {
  const browserKey = [...browserKeys(values)][0];
  const [serviceKey, ...otherKeys] = serviceKeys(values);
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = values;
  const problems = [
    ...(browserKey === undefined ? ["SUPABASE_ANON_KEY or SUPABASE_PUBLISHABLE_KEYS: must be set"] : []),
    ...(serviceKey === undefined ? ["SUPABASE_SERVICE_ROLE_KEY or SUPABASE_SECRET_KEYS: must be set"] : []),
    ...(url === undefined && token !== undefined ? ["UPSTASH_REDIS_REST_URL: must be set beside the token"] : []),
    ...(url !== undefined && token === undefined ? ["UPSTASH_REDIS_REST_TOKEN: must be set beside the URL"] : []),
  ];
  if (browserKey === undefined || serviceKey === undefined || problems.length > 0) throw invalid(problems);
  return {
    supabaseUrl: values.SUPABASE_URL,
    browserKey,
    serviceKeys: [serviceKey, ...otherKeys],
    issuers: values.AUTH_ISSUERS.length > 0 ? values.AUTH_ISSUERS : [`${values.SUPABASE_URL}/auth/v1`],
    queue: url === undefined || token === undefined ? null : { url, token, prefix: values.UPSTASH_PREFIX },
    callbackSecret: values.JOB_CALLBACK_SECRET ?? null,
    callbackSignatures: values.CALLBACK_SIGNATURES,
    workerKey: values.WAN_WORKER_API_KEY[0] ?? null,
    allowedOrigins: values.ALLOWED_ORIGINS.length > 0 ? values.ALLOWED_ORIGINS : ["*"],
    allowedWorkerHosts: values.WORKER_HOSTS_ALLOWED.map((host) => host.toLowerCase()),
    webhookHosts: values.WEBHOOK_HOSTS.map((host) => host.toLowerCase()),
  };
}

/** New keys come first: a project may have switched its old ones off. */
function browserKeys(values: Values): Set<string> {
  const { SUPABASE_PUBLISHABLE_KEYS: named, SUPABASE_PUBLISHABLE_KEY: single, SUPABASE_ANON_KEY: old } = values;
  return new Set([...named, single, old].filter((each) => each !== undefined));
}

function serviceKeys(values: Values): Set<string> {
  const { SUPABASE_SECRET_KEYS: named, SUPABASE_SECRET_KEY: single, SUPABASE_SERVICE_ROLE_KEY: old } = values;
  return new Set([...named, single, old].filter((each) => each !== undefined));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function invalid(problems: readonly string[]): CodedError {
  return new CodedError("CONFIG_INVALID", `The function's environment is wrong: ${problems.join("; ")}`);
}
