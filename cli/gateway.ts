import process from "node:process";
import { startGateway } from "#gateway/gateway.ts";
import { readGatewaySettings } from "#gateway/settings.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { exitCodes } from "./errors.ts";
import { Interruption } from "./interruption.ts";
import { printResult } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";

export interface GatewayCommandOptions extends GlobalOptions {
  readonly redis?: string;
  readonly host: string;
  readonly port: string;
}

/** The body of `ourvidz gateway`. */
export async function gateway(options: GatewayCommandOptions): Promise<number> {
  const interruption = new Interruption();
  const settings = readGatewaySettings({ ...process.env, REDIS_URL: options.redis ?? process.env.REDIS_URL });
  const log = await createLogger({
    level: options.verbose ? "debug" : settings.log.level,
    format: settings.log.format ?? (process.stderr.isTTY ? "pretty" : "json"),
  });
  const running = await startGateway({ ...settings, log, host: options.host, port: Number(options.port) });
  printResult(options, { url: running.url }, `listening on ${running.url}`);
  await interruption.requested();
  await running.close();
  return exitCodes.completed;
}
