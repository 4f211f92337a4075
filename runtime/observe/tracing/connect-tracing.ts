import type { Config } from "#runtime/container/config.ts";
import type { Logger } from "../log.ts";
import { noTracing, type Tracing } from "./tracing.ts";

export async function connectTracing({ tracing, workerId }: Config, log: Logger): Promise<Tracing> {
  if (tracing === null) return noTracing;
  const { OtlpTracing } = await import("./otlp-tracing.ts");
  return new OtlpTracing({ ...tracing, workerId, log });
}
