import { randomUUID } from "node:crypto";
import { CodedError } from "#contract/errors.ts";
import type { ResolvedOptions } from "./options.ts";
import { RestClient } from "./rest-client.ts";
import { evictionIn, readInfo } from "./server-info.ts";
import { UsageCounter } from "./usage.ts";

/** What taking a job needs: a script that writes. The key is gone when it ends, and in ten seconds in any case. */
const script = `
redis.call('SET', KEYS[1], ARGV[1], 'PX', 10000)
local kept = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return kept`;

/**
 * Reaches the queue's server, and runs a script on a key that nobody else has.
 *
 * @throws CodedError CONFIG_INVALID (the token is wrong, or may only read, or the server evicts jobs), QUEUE_UNREACHABLE, QUEUE_OVER_QUOTA, QUEUE_FULL
 */
export async function probeUpstash({
  url,
  token,
  prefix,
}: Pick<ResolvedOptions, "url" | "token" | "prefix">): Promise<string> {
  const usage = new UsageCounter(() => performance.now());
  const client = new RestClient({ url, token, requestTimeoutMs: 5_000, tries: 2, random: Math.random, usage });
  try {
    const startedAtMs = performance.now();
    await client.command("probe", ["PING"]);
    const tookMs = Math.round(performance.now() - startedAtMs);
    const value = randomUUID();
    const kept = await client.command("probe", ["EVAL", script, "1", `${prefix}:probe:${value}`, value]);
    if (kept !== value)
      throw new CodedError(
        "CONFIG_INVALID",
        "The queue's server did not keep what a script wrote: check its settings.",
      );
    const info = await readInfo(client);
    const eviction = info === null ? null : evictionIn(info);
    if (eviction !== null) throw new CodedError(eviction.code, eviction.message);
    return `${new URL(url).host} answers after ${tookMs} ms and runs scripts that write`;
  } finally {
    client.close();
  }
}
