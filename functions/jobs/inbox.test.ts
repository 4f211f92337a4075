import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { JobEvents } from "#runtime/dispatch/job-events.ts";
import { Inbox } from "./inbox.ts";

const running = { kind: "state", status: "running", attempt: 1 } as const;
const progress = (step: number) => ({ kind: "progress", step, total: 1000, progress: step / 1000 }) as const;
const stage = (seconds: number) => ({ kind: "stage", name: "decode", seconds }) as const;
const preview = (byte: number) => ({ kind: "preview", mimeType: "image/png", bytes: Uint8Array.of(byte) }) as const;

it("keeps what one reader has not taken: every state, the latest stages, one progress, one preview", () => {
  const events = new JobEvents();
  const inbox = new Inbox(events, "a");
  events.emit("b", running);
  events.emit("a", running);
  for (let step = 1; step <= 1000; step++) {
    events.emit("a", preview(step % 256));
    events.emit("a", progress(step));
    events.emit("a", stage(step));
    if (step % 100 === 0) events.emit("a", { kind: "state", status: "queued", attempt: step / 100 });
  }
  const kept = inbox.takeAll();
  const ofKind = (kind: string) => kept.filter(({ event }) => event.kind === kind);
  expect(ofKind("state")).toHaveLength(11);
  expect(ofKind("preview").map(({ event }) => event)).toEqual([preview(1000 % 256)]);
  expect(ofKind("progress").map(({ event }) => event)).toEqual([progress(1000)]);
  expect(ofKind("stage").map(({ event }) => event)).toEqual(Array.from({ length: 51 }, (_, n) => stage(950 + n)));
  expect(kept.map(({ id }) => id)).toEqual(kept.map(({ id }) => id).toSorted((left, right) => left - right));
});

it("ends a wait when an event comes, when the signal aborts, and in time", async () => {
  const events = new JobEvents();
  const inbox = new Inbox(events, "a");
  const leaving = new AbortController();
  const forEvent = inbox.wait(60_000, leaving.signal);
  events.emit("a", running);
  await forEvent;
  await inbox.wait(60_000, leaving.signal);
  expect(inbox.takeAll()).toHaveLength(1);
  await inbox.wait(1, leaving.signal);
  const forAbort = inbox.wait(60_000, leaving.signal);
  leaving.abort();
  await forAbort;
  await inbox.wait(60_000, leaving.signal);
});

it("hears nothing after it was closed", () => {
  const events = new JobEvents();
  const inbox = new Inbox(events, "a");
  inbox.close();
  events.emit("a", running);
  expect(inbox.isEmpty).toBe(true);
});

it("leaves nothing on the signal, however often it waits", async () => {
  const inbox = new Inbox(new JobEvents(), "a");
  const { signal } = new AbortController();
  for (let wait = 0; wait < 5; wait++) await inbox.wait(0, signal);
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});
