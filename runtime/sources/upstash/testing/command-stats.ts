import { createClient } from "redis";

/** For tests: what Redis itself counts, the calls inside scripts included; that is what Upstash bills. */
export interface CommandStats {
  reset(): Promise<void>;
  /** Commands since the reset, by name. */
  read(): Promise<ReadonlyMap<string, number>>;
  total(): Promise<number>;
  close(): Promise<void>;
}

/** What is sent here and not by the source. */
const ownCommands = new Set(["info", "config|resetstat", "hello", "client|setinfo", "client|setname"]);

export async function readCommandStats(url: string): Promise<CommandStats> {
  const redis = createClient({ url });
  await redis.connect();
  const stats: CommandStats = {
    async reset() {
      await redis.sendCommand(["CONFIG", "RESETSTAT"]);
    },
    async read() {
      const text = await redis.info("commandstats");
      const counts = [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(
        ([, name = "", calls]) => [name, Number(calls)] as const,
      );
      return new Map(counts.filter(([name]) => !ownCommands.has(name)));
    },
    async total() {
      return [...(await stats.read()).values()].reduce((sum, calls) => sum + calls, 0);
    },
    async close() {
      redis.destroy();
    },
  };
  return stats;
}
