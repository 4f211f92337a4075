import { describe, expect, it } from "vitest";
import { JobEvents, type NumberedEvent } from "./job-events.ts";

const running = { kind: "state", status: "running", attempt: 1 } as const;
const completed = { kind: "state", status: "completed", attempt: 1 } as const;
const queued = { kind: "state", status: "queued", attempt: 0 } as const;
const progress = (step: number) => ({ kind: "progress", step, total: 1000, progress: step / 1000 }) as const;
const preview = (byte: number) => ({ kind: "preview", mimeType: "image/webp", bytes: Uint8Array.of(byte) }) as const;

describe("JobEvents", () => {
  it("numbers events and replays them from where a reader was", () => {
    const events = new JobEvents(() => 5);
    for (const event of [running, progress(1), progress(2), completed]) events.emit("job", event);
    expect(events.replay("job").map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    expect(events.replay("job", 3)).toEqual([{ id: 4, atMs: 5, event: completed }]);
    expect(events.replay("other")).toEqual([]);
  });

  it("drops what comes after the end, until the job is redriven", () => {
    const events = new JobEvents();
    for (const event of [completed, progress(9), completed]) events.emit("job", event);
    expect(events.replay("job").map(({ event }) => event)).toEqual([completed]);
    events.emit("job", queued);
    events.emit("job", progress(1));
    expect(events.replay("job").map(({ event }) => event)).toEqual([completed, queued, progress(1)]);
  });

  it("keeps every state, one preview, and a bounded number of progress events", () => {
    const events = new JobEvents();
    events.emit("job", running);
    for (let step = 1; step <= 1000; step++) events.emit("job", progress(step));
    events.emit("job", preview(1));
    events.emit("job", preview(2));
    events.emit("job", completed);
    const kept = events.replay("job").map(({ event }) => event);
    expect(kept.length).toBeLessThanOrEqual(400);
    expect(kept[0]).toEqual(running);
    expect(kept.filter(({ kind }) => kind === "preview")).toEqual([preview(2)]);
    expect(kept.at(-1)).toEqual(completed);
  });

  it("forgets the oldest jobs", () => {
    const events = new JobEvents();
    for (let job = 0; job <= 500; job++) events.emit(`job-${job}`, running);
    expect(events.replay("job-0")).toEqual([]);
    expect(events.replay("job-500")).toHaveLength(1);
  });

  it("calls subscribers until they leave", () => {
    const events = new JobEvents();
    const seen: NumberedEvent[] = [];
    const stop = events.subscribe("job", (event) => seen.push(event));
    events.emit("job", running);
    events.emit("other", running);
    stop();
    events.emit("job", completed);
    expect(seen.map(({ event }) => event)).toEqual([running]);
  });
});
