import { EventEmitter, once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DeliveryNote } from "#contract/delivery-note.ts";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { type Embedded, openEmbedded } from "#runtime/container/embedded.ts";
import { JobEvents, type LiveEvent } from "#runtime/dispatch/job-events.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import type { NamedEvent } from "../http/event-stream.ts";
import { inShort } from "../testing/events.ts";
import { type FollowedContainer, followJob } from "./follow-job.ts";
import { parseEventId } from "./job-event.ts";

/*
 * Here the test is the process that runs the job: it moves the record through the source, and emits live events (or
 * does not, as a container in which the job does not run).
 */
const startedAtMs = 1_700_000_000_000;
const epoch = startedAtMs.toString(36);
const error = { code: "HANDLER_FAILED", message: "it did not work" } as const;

let folder: string;
let embedded: Embedded;
let jobs = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-follow-"));
  embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "test-worker"));
});

afterAll(async () => {
  await embedded.close();
  await rm(folder, { recursive: true, force: true });
});

class Follower {
  readonly #events: AsyncGenerator<NamedEvent>;
  readonly leaving = new AbortController();
  readonly received: NamedEvent[] = [];
  readonly places: unknown[] = [];

  constructor(container: FollowedContainer, jobId: string, after?: string) {
    this.#events = followJob(container, jobId, { after: parseEventId(after), pollMs: 5 }, this.leaving.signal);
  }

  /** The next `count` events, in short. */
  async next(count: number): Promise<string[]> {
    const taken: string[] = [];
    while (taken.length < count) {
      const { value, done } = await this.#events.next();
      if (done) break;
      // Most of these jobs wait for a moment: their place has a test of its own.
      if (value.event === "place") {
        this.places.push(value.data);
        continue;
      }
      this.received.push(value);
      taken.push(inShort(value));
    }
    return taken;
  }

  /** All events until the stream ends. */
  rest(): Promise<string[]> {
    return this.next(Infinity);
  }
}

async function begin() {
  const id = `job-${++jobs}`;
  const worker = id;
  await embedded.source.enqueue(jobEnvelope.parse({ id, type: "test" }), { worker });
  const events = new JobEvents();
  const polls = new EventEmitter();
  let polled = 0;
  const queue = {
    get(jobId: string) {
      polled++;
      polls.emit("poll");
      return embedded.source.get(jobId);
    },
  };
  const container = { ...embedded, queue, events, startedAtMs, config: { http: { publicUrl: undefined } } };
  const take = async (): Promise<Lease> => {
    const {
      leases: [lease],
    } = await embedded.source.take([{ worker, slots: 1 }]);
    if (lease === undefined) throw new Error("there is no job to take");
    return lease;
  };
  return {
    id,
    take,
    polls: () => polled,
    async polled(times: number) {
      for (let poll = 0; poll < times; poll++) await once(polls, "poll");
    },
    emit: (event: LiveEvent) => events.emit(id, event),
    follow: (after?: string, jobId = id) => new Follower(container, jobId, after),
    complete: (lease: Lease) => embedded.source.complete(lease, { assets: [], metadata: { seed: 7 } }),
    note: (lease: Lease, note: DeliveryNote) => embedded.source.noteDeliveries([{ lease, note }]),
    retry: (lease: Lease) => embedded.source.retry(lease, { error, delaySeconds: 0 }),
  };
}

const running = (attempt: number): LiveEvent => ({ kind: "state", status: "running", attempt });
const ended = (attempt: number): LiveEvent => ({ kind: "state", status: "completed", attempt });
const step = (number: number): LiveEvent => ({ kind: "progress", step: number, total: 4, progress: number / 4 });
const stage: LiveEvent = { kind: "stage", name: "denoise", seconds: 1.5 };
const preview: LiveEvent = { kind: "preview", mimeType: "image/png", bytes: Uint8Array.of(1, 2, 3) };

function noteOf(tries: number, more: Partial<DeliveryNote> = {}): DeliveryNote {
  const since = "2026-01-01T10:00:00.000Z";
  return { becomes: "completed", step: "report", since, tries, error: null, next_try_at: since, ...more };
}

describe("why a result has not reached the app", () => {
  const triesOf = (follower: Follower) =>
    follower.received.filter(({ event }) => event === "delivery").map(({ data }) => Object(data).tries);

  it("is never reported by an older note after a newer one, as the record may have it", async () => {
    const job = await begin();
    const lease = await job.take();
    job.emit(running(1));
    const follower = job.follow();
    await follower.next(2);
    job.emit({ kind: "delivery", note: noteOf(1) });
    await follower.next(1);
    job.emit({ kind: "delivery", note: noteOf(2, { error: { code: "CALLBACK_REFUSED", message: "401" } }) });
    await follower.next(1);
    // Written down once both were sent, and read by the follower.
    await job.note(lease, noteOf(1));
    const next = follower.next(1);
    await job.polled(3);
    job.emit({ kind: "delivery", note: noteOf(3) });
    await next;
    expect(triesOf(follower)).toEqual([1, 2, 3]);
  });

  it("is reported by the record where another container delivers, also one that has taken the job over", async () => {
    const job = await begin();
    const first = await job.take();
    job.emit(running(1));
    const follower = job.follow();
    await follower.next(2);
    job.emit({ kind: "delivery", note: noteOf(7) });
    await follower.next(1);
    await job.retry(first);
    const lease = await job.take();
    await job.note(lease, noteOf(1));
    const others = await follower.next(3);
    expect(others).toEqual(["queued 1", "running 2", "delivery"]);
    const next = follower.next(1);
    await job.note(lease, noteOf(2));
    await next;
    expect(triesOf(follower)).toEqual([7, 1, 2]);
  });
});

describe("a job that runs here", () => {
  it("is reported as it happens, and ends with the whole job", async () => {
    const job = await begin();
    const follower = job.follow();
    expect(await follower.next(1)).toEqual(["queued 0"]);
    const lease = await job.take();
    job.emit(running(1));
    job.emit(preview);
    job.emit(step(1));
    expect(await follower.next(3)).toEqual(["running 1", "preview", "25 %"]);
    await job.complete(lease);
    job.emit(ended(1));
    expect(await follower.rest()).toEqual(["completed 1"]);
    expect(follower.received[2]?.data).toEqual({ mime_type: "image/png", url: "data:image/png;base64,AQID" });
    expect(follower.received.at(-1)?.data).toMatchObject({
      job: { job_id: job.id, status: "completed", result_metadata: { seed: 7 } },
    });
  });

  it("is reported from the beginning to whoever comes later", async () => {
    const job = await begin();
    const lease = await job.take();
    for (const event of [running(1), step(1), preview, step(2), stage]) job.emit(event);
    const during = job.follow();
    expect(await during.next(6)).toEqual(["queued 0", "running 1", "25 %", "preview", "50 %", "stage"]);
    expect(during.received.at(-1)?.data).toEqual({ name: "denoise", seconds: 1.5 });
    await job.complete(lease);
    job.emit(ended(1));
    expect(await during.rest()).toEqual(["completed 1"]);
    const after = ["queued 0", "running 1", "25 %", "preview", "50 %", "stage", "completed 1"];
    expect(await job.follow().rest()).toEqual(after);
  });

  it("is reported once: neither the record's older progress nor a state that live events reported already", async () => {
    const job = await begin();
    const lease = await job.take();
    job.emit(running(1));
    job.emit(step(3));
    const follower = job.follow();
    expect(await follower.next(3)).toEqual(["queued 0", "running 1", "75 %"]);
    await embedded.source.renew([{ lease, progress: 0.25 }]);
    const waiting = follower.rest();
    // None of these looks at the record may report anything.
    await job.polled(3);
    await job.complete(lease);
    expect(await waiting).toEqual(["completed 1"]);
  });

  it("is not read from the queue while live events come", async () => {
    const job = await begin();
    const lease = await job.take();
    job.emit(running(1));
    const follower = job.follow();
    await follower.next(2);
    const before = job.polls();
    for (let number = 1; number <= 4; number++) {
      job.emit(step(number));
      await follower.next(1);
    }
    expect(job.polls()).toBe(before);
    await job.complete(lease);
  });

  it("is reported again after a retry", async () => {
    const job = await begin();
    const follower = job.follow();
    const first = await job.take();
    job.emit(running(1));
    await job.retry(first);
    job.emit({ kind: "state", status: "queued", attempt: 1, error, retryInSeconds: 3 });
    expect(await follower.next(3)).toEqual(["queued 0", "running 1", "queued 1"]);
    expect(follower.received.at(-1)?.data).toMatchObject({ error });
    const second = await job.take();
    job.emit(running(2));
    expect(await follower.next(1)).toEqual(["running 2"]);
    await embedded.source.fail(second, error);
    job.emit({ kind: "state", status: "failed", attempt: 2, error });
    expect(await follower.rest()).toEqual(["failed 2"]);
    expect(follower.received.at(-1)?.data).toMatchObject({ error, job: { status: "failed", error } });
  });

  it("begins anew when it was redriven", async () => {
    const job = await begin();
    const first = await job.take();
    job.emit(running(1));
    job.emit(step(1));
    await embedded.source.fail(first, error);
    job.emit({ kind: "state", status: "failed", attempt: 1, error });
    await embedded.source.redrive(job.id);
    const follower = job.follow();
    expect(await follower.next(1)).toEqual(["queued 0"]);
    const second = await job.take();
    job.emit(running(1));
    expect(await follower.next(1)).toEqual(["running 1"]);
    await job.complete(second);
    job.emit(ended(1));
    expect(await follower.rest()).toEqual(["completed 1"]);
    expect(await job.follow().rest()).toEqual(["queued 0", "running 1", "completed 1"]);
  });
});

describe("a job that runs in another process", () => {
  it("is reported from its record", async () => {
    const job = await begin();
    const follower = job.follow();
    expect(await follower.next(1)).toEqual(["queued 0"]);
    const lease = await job.take();
    expect(await follower.next(1)).toEqual(["running 1"]);
    await embedded.source.renew([{ lease, progress: 0.5 }]);
    expect(await follower.next(1)).toEqual(["50 %"]);
    await job.retry(lease);
    expect(await follower.next(1)).toEqual(["queued 1"]);
    const second = await job.take();
    await job.complete(second);
    expect((await follower.rest()).at(-1)).toBe("completed 2");
  });

  it("is reported when it was released and taken again under the same number", async () => {
    const job = await begin();
    const follower = job.follow();
    const first = await job.take();
    expect(await follower.next(2)).toEqual(["queued 0", "running 1"]);
    await embedded.source.release(first);
    expect(await follower.next(1)).toEqual(["queued 1"]);
    const second = await job.take();
    expect(await follower.next(1)).toEqual(["running 1"]);
    await job.complete(second);
    expect(await follower.rest()).toEqual(["completed 1"]);
  });

  it("is reported here too, once it moves here", async () => {
    const job = await begin();
    const first = await job.take();
    const follower = job.follow();
    expect(await follower.next(2)).toEqual(["queued 0", "running 1"]);
    await job.retry(first);
    const second = await job.take();
    job.emit(running(2));
    job.emit(step(2));
    expect(await follower.next(2)).toEqual(["running 2", "50 %"]);
    await job.complete(second);
    job.emit(ended(2));
    expect(await follower.rest()).toEqual(["completed 2"]);
    expect(await job.follow().rest()).toEqual([
      "queued 0",
      "running 1",
      "queued 1",
      "running 2",
      "50 %",
      "completed 2",
    ]);
  });

  it("is reported when it ended long ago, from its record alone", async () => {
    const job = await begin();
    await job.retry(await job.take());
    await job.complete(await job.take());
    const follower = job.follow();
    expect(await follower.rest()).toEqual(["queued 0", "running 1", "queued 1", "running 2", "completed 2"]);
    expect(follower.received.map(({ id }) => id).slice(0, 4)).toEqual(["record.1", "record.2", "record.3", "record.4"]);
    expect(follower.received[4]?.id).toMatch(/^end\.\d+$/);
    expect(follower.received[2]?.data).toMatchObject({ error });
  });

  it("is reported when it is cancelled before it runs", async () => {
    const job = await begin();
    const follower = job.follow();
    expect(await follower.next(1)).toEqual(["queued 0"]);
    await embedded.source.cancel(job.id);
    expect(await follower.rest()).toEqual(["cancelled 0"]);
  });
});

describe("a reader that comes back", () => {
  it.each([
    ["record.1", ["running 1", "25 %", "50 %", "completed 1"]],
    [`${epoch}.1`, ["25 %", "50 %", "completed 1"]],
    [`${epoch}.2`, ["50 %", "completed 1"]],
    [`${epoch}.3`, ["completed 1"]],
    ["otherstart.3", ["queued 0", "running 1", "25 %", "50 %", "completed 1"]],
    ["nonsense", ["queued 0", "running 1", "25 %", "50 %", "completed 1"]],
    ["../../etc", ["queued 0", "running 1", "25 %", "50 %", "completed 1"]],
  ])("after %s gets %j", async (after, expected) => {
    const job = await begin();
    const lease = await job.take();
    for (const event of [running(1), step(1), step(2)]) job.emit(event);
    await job.complete(lease);
    job.emit(ended(1));
    expect(await job.follow(after).rest()).toEqual(expected);
  });

  it.each([
    ["record.2", ["queued 1", "running 2", "completed 2"]],
    ["record.4", ["completed 2"]],
    // The live events that this id stands for are forgotten.
    [`${epoch}.9`, ["queued 0", "running 1", "queued 1", "running 2", "completed 2"]],
  ])("to a job that did not run here, after %s, gets %j", async (after, expected) => {
    const job = await begin();
    await job.retry(await job.take());
    await job.complete(await job.take());
    expect(await job.follow(after).rest()).toEqual(expected);
  });
});

it("a job that waits is sent its place as it changes, and none once it runs", async () => {
  const first = await begin();
  const second = `${first.id}-second`;
  await embedded.source.enqueue(jobEnvelope.parse({ id: second, type: "test" }), { worker: first.id });
  const follower = first.follow(undefined, second);
  const next = follower.next(2);
  await expect.poll(() => follower.places).toEqual([{ queue_position: 2 }]);
  const lease = await first.take();
  await expect.poll(() => follower.places).toEqual([{ queue_position: 2 }, { queue_position: 1 }]);
  await first.complete(lease);
  await first.take();
  expect(await next).toEqual(["queued 0", "running 1"]);
  expect(follower.places).toHaveLength(2);
  follower.leaving.abort();
});

describe("leaving", () => {
  it("ends the stream at once, and the subscription", async () => {
    const job = await begin();
    const follower = job.follow();
    await follower.next(1);
    const rest = follower.rest();
    follower.leaving.abort();
    expect(await rest).toEqual([]);
  });

  it("is not needed when the job was deleted", async () => {
    const job = await begin();
    const follower = job.follow();
    await follower.next(1);
    await embedded.source.cancel(job.id);
    await embedded.source.prune(-1000);
    expect(await follower.rest()).toEqual([]);
    expect(await job.follow().rest()).toEqual([]);
  });
});
