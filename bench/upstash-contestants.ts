import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Queue as UpstashPeer } from "@upstash/queue";
import { Redis } from "@upstash/redis";
import { createNodeRedisClient, Queue, RedisConnection, Worker } from "bullmq";
import { createClient } from "redis";
import { connectQueue } from "#contract/edge/connect-queue.ts";
import { enqueueJob } from "#contract/enqueue.ts";
import { createUpstashSource } from "#runtime/sources/upstash/upstash-source.ts";

/* The same work done by three queues: jobs that do nothing, taken and acknowledged. */

export interface Places {
  readonly redisPort: number;
  readonly gatewayUrl: string;
  readonly token: string;
}

export interface Contestant {
  readonly name: string;
  /** Whether a job whose worker dies is given to another. */
  readonly isReliable: boolean;
  /** How many jobs it can have under way. */
  readonly maxAtOnce: number;
  fill(count: number): Promise<void>;
  /** Takes and settles that many jobs, `atOnce` of them at a time. */
  drain(count: number, atOnce: number): Promise<void>;
  /** Milliseconds from the producer's call to the job in a worker's hand, the queue being at rest. Comes last. */
  pickUp(): Promise<number>;
  close(): Promise<void>;
}

const payload = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn", user_id: "ann" } as const;
const element = () => ({ id: randomUUID(), ...payload, config: { num_images: 1 }, metadata: {} });
const elements = (count: number) => Array.from({ length: count }, element);
const pushedAtOnce = 500;

export function ours({ gatewayUrl, token }: Places): Contestant {
  const source = createUpstashSource({ url: gatewayUrl, token, workerId: "bench" });
  const client = new Redis({ url: gatewayUrl, token, enableTelemetry: false });
  const result = { assets: [], metadata: {} };
  const never = new AbortController().signal;
  async function takeAndSettle(slots: number): Promise<number> {
    const { leases } = await source.take([{ worker: "sdxl", slots }]);
    await Promise.all(leases.map((lease) => source.complete(lease, result)));
    return leases.length;
  }
  return {
    name: "ours, over REST",
    isReliable: true,
    maxAtOnce: 1_000,
    async fill(count) {
      for (let filled = 0; filled < count; filled += pushedAtOnce) {
        await client.lpush("sdxl_queue", ...elements(Math.min(pushedAtOnce, count - filled)));
      }
    },
    async drain(count, atOnce) {
      for (let done = 0; done < count; ) done += await takeAndSettle(Math.min(atOnce, count - done));
    },
    async pickUp() {
      const producer = connectQueue({ url: gatewayUrl, token });
      // At rest: nothing is there, and what was heard before is told.
      while ((await takeAndSettle(1)) > 0);
      while (!source.hearsEvents) await source.waitForChange(10, never, "jobs");
      await source.waitForChange(30, never, "jobs");
      const waiting = source.waitForChange(30_000, never, "jobs");
      const startedMs = performance.now();
      const [delayMs] = await Promise.all([
        waiting.then(async () => {
          const { leases } = await source.take([{ worker: "sdxl", slots: 1 }]);
          const tookMs = performance.now() - startedMs;
          for (const lease of leases) await source.complete(lease, result);
          return leases.length === 1 ? tookMs : Number.NaN;
        }),
        enqueueJob(producer, { ...payload }),
      ]);
      return delayMs;
    },
    close: () => source.close(),
  };
}

export async function bullmq({ redisPort }: Places): Promise<Contestant> {
  RedisConnection.clientFactory = () => createNodeRedisClient(createClient({ url: `redis://127.0.0.1:${redisPort}` }));
  const connection = { host: "127.0.0.1", port: redisPort };
  const queue = new Queue("bench", { connection });
  async function work(count: number, concurrency: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let done = 0;
    const worker = new Worker("bench", async () => {}, { connection, concurrency });
    worker.on("completed", () => {
      done += 1;
      if (done === count) resolve();
    });
    await promise;
    await worker.close();
  }
  let pickedUp: () => void = () => {};
  let resting: Worker | undefined;
  return {
    name: "bullmq, over TCP",
    isReliable: true,
    maxAtOnce: 1_000,
    async fill(count) {
      for (let filled = 0; filled < count; filled += pushedAtOnce) {
        await queue.addBulk(elements(Math.min(pushedAtOnce, count - filled)).map((data) => ({ name: "job", data })));
      }
    },
    drain: work,
    async pickUp() {
      resting ??= new Worker("bench", async () => pickedUp(), { connection }).on("error", () => undefined);
      await pause(40);
      const { promise, resolve } = Promise.withResolvers<number>();
      const startedMs = performance.now();
      pickedUp = () => resolve(performance.now() - startedMs);
      await queue.add("job", element());
      return promise;
    },
    async close() {
      // A worker that waits does not close over this client: it is told to, and not waited for.
      void resting?.close(true).catch(() => undefined);
      await queue.close();
    },
  };
}

/** Asked once a second while it finds nothing: it has no other way to wait over REST. */
export const peerPollMs = 1_000;

export function upstashQueue({ gatewayUrl, token }: Places): Contestant {
  const redis = new Redis({ url: gatewayUrl, token, enableTelemetry: false });
  // Its types mean its own, older copy of the client; the class is the same.
  const queue = new UpstashPeer({ redis: redis as never, queueName: "bench", concurrencyLimit: 5 });
  function receive(): Promise<unknown> {
    // It counts what it has not received as under way, and would soon refuse to receive at all.
    queue.concurrencyCounter = 0;
    return queue.receiveMessage();
  }
  return {
    name: "@upstash/queue, over REST",
    isReliable: false,
    maxAtOnce: 5,
    async fill(count) {
      await queue.sendMessage({ begins: "the group" });
      await receive();
      for (let filled = 0; filled < count; filled += 20) {
        await Promise.all(elements(Math.min(20, count - filled)).map((each) => queue.sendMessage(each)));
      }
    },
    async drain(count, atOnce) {
      let done = 0;
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          while (done < count) {
            done += 1;
            if ((await receive()) === null) done -= 1;
          }
        }),
      );
    },
    async pickUp() {
      const startedMs = performance.now();
      const picking = (async () => {
        // The producer does not wait for a poll, so it falls anywhere between two.
        await pause(Math.random() * peerPollMs);
        while ((await receive()) === null) await pause(peerPollMs);
        return performance.now() - startedMs;
      })();
      await queue.sendMessage(element());
      return picking;
    },
    async close() {},
  };
}
