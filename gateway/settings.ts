import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { headerSecret, readVariables } from "#runtime/lib/environment.ts";
import type { LogOptions } from "#runtime/observe/log.ts";

/** What the gateway takes from the environment: addresses and secrets. A secret in an option would show in `ps`. */
export interface GatewaySettings {
  readonly redisUrl: string;
  readonly token: string | undefined;
  readonly readOnlyToken: string | undefined;
  readonly log: { readonly level: LogOptions["level"]; readonly format: LogOptions["format"] | undefined };
}

const token = headerSecret
  .min(16, "a token needs 16 characters or more; make one with: openssl rand -hex 32")
  .optional();

const environment = z.object({
  REDIS_URL: z
    .string()
    .regex(/^rediss?:\/\//, "must be like redis://127.0.0.1:6379")
    .default("redis://127.0.0.1:6379"),
  GATEWAY_TOKEN: token,
  GATEWAY_READ_ONLY_TOKEN: token,
  LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
  LOG_FORMAT: z.enum(["json", "pretty"]).optional(),
});

/**
 * @param env usually `process.env`; empty strings count as not set
 * @throws CodedError CONFIG_INVALID listing every variable that is wrong
 */
export function readGatewaySettings(env: Readonly<Record<string, string | undefined>>): GatewaySettings {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const read = readVariables(environment, given, new Set(["REDIS_URL", "GATEWAY_TOKEN", "GATEWAY_READ_ONLY_TOKEN"]));
  if (!read.ok) throw new CodedError("CONFIG_INVALID", `The environment is wrong:\n  ${read.problems.join("\n  ")}`);
  const { REDIS_URL, GATEWAY_TOKEN, GATEWAY_READ_ONLY_TOKEN, LOG_LEVEL, LOG_FORMAT } = read.values;
  return {
    redisUrl: REDIS_URL,
    token: GATEWAY_TOKEN,
    readOnlyToken: GATEWAY_READ_ONLY_TOKEN,
    log: { level: LOG_LEVEL, format: LOG_FORMAT },
  };
}
