import { beforeEach, expect, test } from "vitest";
import { failure, makeJob, result } from "#test/conformance/sources/harness.ts";
import type { Lease, Offer } from "../job-source.ts";
import { FormerContainer, type FormerLease } from "./testing/former-container.ts";
import { openHarness, type UpstashHarness, useGateway } from "./testing/upstash-harness.ts";

/*
 * A rolling upgrade: containers of the version before, with the scripts that they brought along, and containers of this one
 * take from one queue and settle what they have, in turns. Nothing is lost and nothing is given to two of them at once.
 */
const shared = useGateway();
const offer: Offer = { types: ["sdxl_image_fast"], defaultModelTypes: ["sdxl_image_fast"], models: [] };
const jobs = 60;

let harness: UpstashHarness;
let former: FormerContainer;

beforeEach(async () => {
  harness = await openHarness(shared.gateway, { events: false });
  former = new FormerContainer(shared.gateway);
  return () => harness.close();
});

type Held = { readonly side: "former"; readonly lease: FormerLease } | { readonly side: "new"; readonly lease: Lease };

/** Every fifth job is tried twice. */
const callOf = (jobId: string, attempt: number) => {
  const number = Number(jobId.slice(4));
  if (attempt > 1) return "complete";
  return number % 5 === 0 ? "retry" : "complete";
};

async function settle({ side, lease }: Held, call: "complete" | "retry" | "release"): Promise<boolean> {
  if (side === "former") return former.settle(call, lease);
  const { source } = harness;
  if (call === "complete") return (await source.complete(lease, result)) === "completed";
  if (call === "release") return (await source.release(lease)) === "requeued";
  return (await source.retry(lease, { error: failure, delaySeconds: 0 })) === "requeued";
}

test("a container of the version before and one of this share a queue", async () => {
  const held = new Map<string, Held>();
  const completed: string[] = [];
  const by = { former: 0, new: 0 };
  const take = async (side: Held["side"]) => {
    const taken: Held[] =
      side === "former"
        ? (await former.take("sdxl", 3)).map((lease) => ({ side, lease }))
        : (await harness.source.take([{ worker: "sdxl", slots: 3, offer }])).leases.map((lease) => ({ side, lease }));
    for (const each of taken) {
      expect(held.has(each.lease.jobId), `${each.lease.jobId} is given to two`).toBe(false);
      held.set(each.lease.jobId, each);
    }
    return taken.length;
  };

  for (let round = 0, idle = 0; idle < 4; round++) {
    // Half of the jobs are filed by this version, half are pushed as producers do; users differ.
    for (let number = round * 4; number < Math.min(jobs, round * 4 + 4); number++) {
      const job = makeJob(`job-${number}`, { user_id: `user-${number % 3}` });
      if (number % 2 === 0) await harness.queue.enqueue(job, { worker: "sdxl" });
      else await shared.gateway.client().lpush("sdxl_queue", JSON.stringify(job));
    }
    const count = await take(round % 2 === 0 ? "former" : "new");
    idle = count === 0 && held.size === 0 ? idle + 1 : 0;
    // One stays under way into the next round, where the other side takes.
    for (const [jobId, each] of [...held].slice(0, Math.max(1, held.size - 1))) {
      const isFirstLook = round % 7 === 3;
      const call = isFirstLook ? "release" : callOf(jobId, each.lease.attempt);
      expect(await settle(each, call), `${call} of ${jobId} by ${each.side}`).toBe(true);
      const late = call === "complete" ? "release" : "complete";
      expect(await settle(each, late), `${jobId} was settled before`).toBe(false);
      held.delete(jobId);
      if (call !== "complete") continue;
      completed.push(jobId);
      by[each.side]++;
    }
  }
  expect(completed.toSorted()).toEqual(Array.from({ length: jobs }, (_, number) => `job-${number}`).toSorted());
  expect(Math.min(by.former, by.new)).toBeGreaterThan(jobs / 10);
  for (const jobId of completed) expect(await harness.queue.get(jobId), jobId).toMatchObject({ status: "completed" });
  expect(await harness.queue.stats()).toEqual([]);
});
