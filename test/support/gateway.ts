import { type Gateway, type GatewayOptions, startGateway } from "#runtime/gateway/gateway.ts";
import { createLogger } from "#runtime/log.ts";
import { type RedisOptions, startRedis, type TestRedis } from "./redis.ts";

/** A gateway in this process in front of a Redis of its own: what Upstash is in production. */
export interface TestGateway extends Gateway {
  readonly redis: TestRedis;
  readonly token: string;
  readonly readOnlyToken: string;
}

export async function startTestGateway(
  options: Partial<GatewayOptions> & { readonly redis?: RedisOptions } = {},
): Promise<TestGateway> {
  const { redis: redisOptions, ...gatewayOptions } = options;
  const redis = await startRedis(redisOptions);
  const tokens = { token: "test-token-of-the-gateway", readOnlyToken: "test-token-that-only-reads" };
  const gateway = await startGateway({
    redisUrl: redis.url,
    host: "127.0.0.1",
    port: 0,
    ...tokens,
    log: await createLogger({ level: "silent", format: "json" }),
    ...gatewayOptions,
  });
  return {
    ...gateway,
    redis,
    ...tokens,
    async close() {
      await gateway.close();
      await redis.stop();
    },
  };
}
