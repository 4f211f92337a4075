import { expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";

interface Jobs extends EventTarget {
  readonly running: readonly { readonly job_id: string }[];
  readonly waiting: readonly { readonly job_id: string; readonly queue_position: number | null }[];
  refresh(): Promise<void>;
}

/** The browser's own module has no types here. */
const module = z.object({
  Jobs: z.custom<new (api: object, queues: () => readonly object[]) => Jobs>((value) => typeof value === "function"),
});

const job = { job_id: "a", status: "queued", created_at: "2026-11-01T10:00:00Z", available_at: "2026-11-01T10:00:00Z" };
const waiting = { ...job, priority: 0, attempt: 0, error: null, delivery: null, settled_at: null, queue_position: 3 };

/** A job that waits in the lists, of which these events come; resolves when they have been read. */
async function afterEvents(...events: readonly { event: string; data: object }[]): Promise<Jobs> {
  vi.stubGlobal("document", { hidden: false });
  onTestFinished(() => void vi.unstubAllGlobals());
  const { Jobs } = module.parse(await import(new URL("./browser/jobs.js", import.meta.url).href));
  const read = Promise.withResolvers<void>();
  const jobs = new Jobs(
    {
      get: async (path: string) => ({ jobs: path.includes("status=queued") ? [waiting] : [], next_cursor: null }),
      async *events() {
        yield* events;
        read.resolve();
        // The stream stays open.
        await new Promise(() => {});
      },
    },
    () => [],
  );
  await jobs.refresh();
  await read.promise;
  return jobs;
}

it("keeps a waiting job, at its new place, when its place changes", async () => {
  const jobs = await afterEvents({ event: "place", data: { queue_position: 2 } });
  expect(jobs.waiting).toMatchObject([{ job_id: "a", queue_position: 2 }]);
});

it("keeps a running job when an event comes that it does not show", async () => {
  const running = { status: "running", attempt: 1, error: null };
  const jobs = await afterEvents(
    { event: "state", data: running },
    { event: "text", data: { text: "an apple" } },
    { event: "stage", data: { name: "load", seconds: 1 } },
    { event: "of a newer container", data: {} },
  );
  expect(jobs.running).toMatchObject([{ job_id: "a", attempt: 1 }]);
});
