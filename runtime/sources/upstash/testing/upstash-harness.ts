import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "@upstash/redis";
import { afterAll, beforeAll } from "vitest";
import type { Faults } from "#gateway/faults.ts";
import type { Harness } from "#test/conformance/sources/index.ts";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import type { UpstashOptions } from "../options.ts";
import { createUpstashSource, type UpstashSource } from "../upstash-source.ts";

/* For tests: the source against a real Redis behind the gateway. */

const leaseSeconds = 30;
/** The greatest time that is really waited; the rest is moved. */
const realWaitMs = 50;

/** Brings every moment nearer that is kept, which is the same as letting time go by on the server. */
const hastenScript = `
  local entries = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  for place = 1, #entries, 2 do
    redis.call('ZADD', KEYS[1], string.format('%.17g', entries[place + 1] - ARGV[1]), entries[place])
  end
  for _, container in ipairs(redis.call('HKEYS', KEYS[2])) do
    local offer = redis.call('HGET', KEYS[2], container)
    local moment, rest = string.match(offer, '^(%d+)(.*)$')
    redis.call('HSET', KEYS[2], container, string.format('%.0f', moment - ARGV[1]) .. rest)
  end
  for _, key in ipairs(redis.call('KEYS', ARGV[2])) do
    local record = redis.call('GET', key)
    local stop = string.find(record, '\\n', 1, true)
    local state = cjson.decode(string.sub(record, 1, stop - 1))
    if state.expires then
      state.expires = state.expires - ARGV[1]
      state.expiresAt = state.expiresAt and state.expiresAt - ARGV[1]
      redis.call('SET', key, cjson.encode(state) .. string.sub(record, stop), 'KEEPTTL')
    end
  end`;

export interface UpstashSide {
  readonly source: UpstashSource;
  readonly queue: UpstashSource;
}

export interface UpstashHarness extends Harness, UpstashSide {
  readonly source: UpstashSource;
  readonly queue: UpstashSource;
  second(options?: Partial<UpstashOptions>): Promise<UpstashSide>;
  /** Lets time go by on the server without waiting. */
  hasten(ms: number): Promise<void>;
}

/** One server for all tests of a file; `faults` of the test that runs are what goes wrong. */
export function useGateway(): { readonly gateway: TestGateway; faults: Faults | undefined } {
  let gateway: TestGateway | undefined;
  const shared = {
    faults: undefined as Faults | undefined,
    get gateway(): TestGateway {
      if (gateway === undefined) throw new Error("the gateway runs only while tests do");
      return gateway;
    },
  };
  beforeAll(async () => {
    gateway = await startTestGateway({ faults: (request) => shared.faults?.(request) });
  });
  afterAll(() => gateway?.close());
  return shared;
}

/** What each of these sorted sets holds, read by one request. */
export async function membersOf(client: Redis, keys: readonly string[]): Promise<readonly string[][]> {
  const pipeline = client.pipeline();
  for (const key of keys) pipeline.zrange(key, 0, -1);
  return await pipeline.exec<string[][]>();
}

/** An empty database with one container on it. */
export async function openHarness(
  gateway: TestGateway,
  defaults: Partial<UpstashOptions> = {},
): Promise<UpstashHarness> {
  const opened: UpstashSource[] = [];
  function open(options: Partial<UpstashOptions> = {}): UpstashSide {
    const source = createUpstashSource({
      url: gateway.url,
      token: gateway.token,
      workerId: `container-${opened.length + 1}`,
      leaseSeconds,
      idlePoll: { timetableMs: 500, endsMs: 500 },
      ...defaults,
      ...options,
    });
    opened.push(source);
    return { source, queue: source };
  }
  const first = open();
  async function hasten(ms: number): Promise<void> {
    await gateway.client().eval(hastenScript, ["ourvidz:timetable", "ourvidz:offers"], [ms, "ourvidz:job:*"]);
  }
  await gateway.client().flushall();
  return {
    ...first,
    async advance(ms) {
      await pause(Math.min(ms, realWaitMs));
      if (ms > realWaitMs) await hasten(ms - realWaitMs);
    },
    grow: (ms) => pause(ms),
    hasten,
    second: async (options) => open(options),
    async close() {
      await Promise.all(opened.map((source) => source.close()));
    },
  };
}
