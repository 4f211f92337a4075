import { Redis, type RedisConfigNodejs } from "@upstash/redis";
import { type Gateway, type GatewayOptions, startGateway } from "#gateway/gateway.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { type RedisOptions, startRedis, type TestRedis } from "./redis.ts";

/** A gateway in this process in front of a Redis of its own: what Upstash is in production. */
export interface TestGateway extends Gateway {
  readonly redis: TestRedis;
  readonly token: string;
  readonly readOnlyToken: string;
  /** A request with the token, as a program without a client library makes it. */
  send(path: string, request?: TestRequest): Promise<TestResponse>;
  /** The official client, one attempt per call. */
  client(options?: UpstashOptions): Redis;
}

export interface TestRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is when it is text or bytes, else as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

export interface TestResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON. */
  json(): unknown;
}

export type UpstashOptions = Partial<RedisConfigNodejs>;

export const tokens = { token: "test-token-of-the-gateway", readOnlyToken: "test-token-that-only-reads" } as const;

export async function startTestGateway(
  options: Partial<GatewayOptions> & { readonly redis?: RedisOptions } = {},
): Promise<TestGateway> {
  const { redis: redisOptions, ...gatewayOptions } = options;
  const redis = await startRedis(redisOptions);
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
    send: (path, request) => send(`${gateway.url}${path}`, request),
    client: (clientOptions = {}) =>
      new Redis({
        url: gateway.url,
        token: tokens.token,
        retry: { retries: 0 },
        enableTelemetry: false,
        enableAutoPipelining: false,
        ...clientOptions,
      }),
    async close() {
      await gateway.close();
      await redis.stop();
    },
  };
}

async function send(url: string, { method, headers, body, signal }: TestRequest = {}): Promise<TestResponse> {
  const isRaw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(url, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: { authorization: `Bearer ${tokens.token}`, ...headers },
    body: isRaw ? (body ?? null) : JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
}
