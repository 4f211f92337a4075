import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { PullLock } from "./pull-lock.ts";

const times = { beatMs: 20, staleMs: 1000, lookMs: 10 };
const signal = AbortSignal.timeout(60_000);
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-lock-"));
  path = join(folder, "a/lock");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const acquire = (onWait?: () => void) => PullLock.acquire(path, { signal, times, ...(onWait && { onWait }) });

async function left(changes: object): Promise<void> {
  const lock = await acquire();
  const text = await readFile(path, "utf8");
  await lock.release();
  await writeFile(path, JSON.stringify({ ...JSON.parse(text), token: "other", ...changes }));
}

it("is held by one, for as long as it holds it, and then by the next", async () => {
  const first = await acquire();
  let looks = 0;
  const second = acquire(() => {
    looks++;
  });
  await expect.poll(() => looks).toBeGreaterThan(times.staleMs / times.lookMs + 5);
  await first.release();
  await (await second).release();
  expect(first.lost.aborted).toBe(false);
  expect(await readdir(join(folder, "a"))).toEqual([]);
});

it("is held by one of many who come at once", async () => {
  let holders = 0;
  const take = async () => {
    const lock = await acquire();
    holders++;
    expect(holders).toBe(1);
    await new Promise(setImmediate);
    holders--;
    await lock.release();
  };
  await Promise.all(Array.from({ length: 8 }, take));
  expect(await readdir(join(folder, "a"))).toEqual([]);
});

it("says how far its holder is", async () => {
  const first = await acquire();
  first.progress(10, 30);
  const seen: unknown[] = [];
  const stop = new AbortController();
  const second = PullLock.acquire(path, {
    signal: stop.signal,
    times,
    onWait: ({ received_bytes, total_bytes }) => {
      seen.push([received_bytes, total_bytes]);
      if (received_bytes > 0) stop.abort(new Error("seen"));
    },
  });
  await expect(second).rejects.toThrow("seen");
  expect(seen.at(-1)).toEqual([10, 30]);
  await first.release();
});

it("is taken over at once when its process on this machine is gone", async () => {
  await left({ pid: 2 ** 22 + 1 });
  const lock = await acquire(() => expect.unreachable("it waited"));
  await lock.release();
});

it("is taken over from another machine when it has not changed for a while", async () => {
  await left({ machine: "another" });
  const startMs = performance.now();
  const lock = await acquire();
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(times.staleMs);
  await lock.release();
});

it("tells a holder that stood still for too long that it is not the holder any more", async () => {
  const first = await acquire();
  const other = JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), token: "other" });
  await expect
    .poll(async () => {
      // Again, should a beat that had looked before have written over it.
      await writeFile(path, other);
      return first.lost.aborted;
    })
    .toBe(true);
  await first.release();
  expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ token: "other" });
});
