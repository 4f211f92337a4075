import type { Keys } from "#contract/queue-keys.ts";
import { findLack, readOffers } from "#contract/queue-offers.ts";
import { type QueueStats, queueName } from "../job-source.ts";
import { statsAnswer } from "./replies.ts";
import type { RestClient } from "./rest-client.ts";

/** Counts the queues of these workers; those in which nothing is, and which are not paused, are left out. */
export async function readStats(client: RestClient, keys: Keys, known: readonly string[]): Promise<QueueStats[]> {
  const workers = known.toSorted();
  const places = workers.flatMap((worker) => [
    keys.producersList(worker).list,
    keys.ready(worker),
    keys.parked(worker),
  ]);
  const run = await client.run("stats", { keys: [keys.timetable, keys.offers, ...places], args: workers });
  const [queues, needs, nowMs, texts, paused] = statsAnswer.parse(run);
  const announced = readOffers(texts, nowMs);
  const unoffered = needs.flatMap(([worker, type, model, jobs, oldestMs]) => {
    const lack = findLack(announced, worker, { type, model: model === "" ? null : model });
    return lack === null ? [] : [{ worker, lack, jobs, oldestSeconds: oldestMs / 1000 }];
  });
  return queues
    .filter(([worker, ...counts]) => paused.has(worker) || counts.some((count) => count > 0))
    .map(([worker, queued, delayed, running, failed, oldestMs]) => ({
      queue: queueName(worker),
      queued,
      delayed,
      running,
      failed,
      oldestQueuedSeconds: oldestMs < 0 ? null : oldestMs / 1000,
      unoffered: unoffered
        .filter((each) => each.worker === worker)
        .map(({ lack, jobs, oldestSeconds }) => ({ ...lack, jobs, oldestSeconds })),
      pausedSinceMs: paused.get(worker) ?? null,
    }));
}
