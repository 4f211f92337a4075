import { EventEmitter } from "node:events";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { HttpError } from "../errors.ts";
import { EventStreams, type ServerEvent, type ServerEvents } from "./event-stream.ts";

const log = await createLogger({ level: "silent", format: "json" });

/** A source that a test feeds by hand. */
function manualSource() {
  const events: ServerEvent[] = [];
  let wake: () => void = () => undefined;
  let pulled = 0;
  let released = false;
  async function* source(signal: AbortSignal): AsyncGenerator<ServerEvents> {
    signal.addEventListener("abort", () => wake());
    try {
      for (;;) {
        pulled++;
        while (events.length === 0 && !signal.aborted) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const next = events.shift();
        if (next === undefined) return;
        yield [next];
      }
    } finally {
      released = true;
    }
  }
  const push = (data: unknown, id = "1") => {
    events.push({ id, event: "state", data });
    wake();
  };
  return { source, push, pulled: () => pulled, released: () => released };
}

async function nextText(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string | undefined> {
  const { value, done } = await reader.read();
  return done ? undefined : new TextDecoder().decode(value);
}

function readerOf(response: Response): ReadableStreamDefaultReader<Uint8Array> {
  if (response.body === null) throw new Error("the response has no body");
  return response.body.getReader();
}

describe("a stream", () => {
  it("says when to come back, and writes each event on one line of data", async () => {
    const { source, push } = manualSource();
    const response = new EventStreams({ log }).respond(source);
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const reader = readerOf(response);
    expect(await nextText(reader)).toBe("retry: 2000\n\n");
    push({ text: "one\ntwo\r\ndata: three" }, "a.7");
    expect(await nextText(reader)).toBe('id: a.7\nevent: state\ndata: {"text":"one\\ntwo\\r\\ndata: three"}\n\n');
    await reader.cancel();
  });

  it("asks its source for nothing before the reader has taken what came before", async () => {
    const { source, push, pulled } = manualSource();
    const reader = readerOf(new EventStreams({ log }).respond(source));
    push(1);
    push(2);
    expect(pulled()).toBe(0);
    await nextText(reader);
    expect(pulled()).toBe(0);
    await nextText(reader);
    expect(pulled()).toBe(1);
    await reader.cancel();
  });

  it("ends with its source", async () => {
    const streams = new EventStreams({ log });
    async function* one(): AsyncGenerator<ServerEvents> {
      yield [{ id: "1", event: "state", data: 1 }];
    }
    expect(await streams.respond(one).text()).toBe("retry: 2000\n\nid: 1\nevent: state\ndata: 1\n\n");
    expect(streams.size).toBe(0);
  });

  it("ends, and is logged, when its source fails", async () => {
    const streams = new EventStreams({ log });
    // biome-ignore lint/correctness/useYield: a source that fails before its first event
    async function* broken(): AsyncGenerator<ServerEvents> {
      throw new Error("the database is gone");
    }
    expect(await streams.respond(broken).text()).toBe("retry: 2000\n\n");
    expect(streams.size).toBe(0);
  });

  it("releases its source when the reader leaves", async () => {
    const streams = new EventStreams({ log });
    const { source, released } = manualSource();
    const reader = readerOf(streams.respond(source));
    await nextText(reader);
    const pending = nextText(reader);
    await reader.cancel();
    expect(await pending).toBeUndefined();
    expect(released()).toBe(true);
    expect(streams.size).toBe(0);
  });
});

describe("all streams", () => {
  it("are bounded, and a stream that ended makes room", async () => {
    const streams = new EventStreams({ log, limit: 2 });
    const first = readerOf(streams.respond(manualSource().source));
    streams.respond(manualSource().source);
    const refused = () => streams.respond(manualSource().source);
    expect(refused).toThrow(HttpError);
    expect(refused).toThrow("2 streams and waiting requests are open");
    await first.cancel();
    expect(refused).not.toThrow();
    streams.close();
  });

  it("10,000 readers at once: as many as there is room for, the others refused, and one line in the log", async () => {
    const lines: string[] = [];
    const listened = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
    const streams = new EventStreams({ log: listened });
    const answers = Array.from({ length: 10_000 }, () => {
      try {
        return streams.respond(manualSource().source).status;
      } catch (error) {
        return error instanceof HttpError ? error.status : 0;
      }
    });
    expect(streams.size).toBe(1000);
    expect(Map.groupBy(answers, (status) => status).get(503)).toHaveLength(9000);
    expect(lines).toHaveLength(1);
    streams.close();
    expect(streams.size).toBe(0);
  });

  it("send an event that many read as it was encoded once", async () => {
    let encodings = 0;
    const data = { toJSON: () => ++encodings };
    const event = { id: "1", event: "state", data };
    async function* one(): AsyncGenerator<ServerEvents> {
      yield [event, event];
    }
    const streams = new EventStreams({ log });
    const texts = await Promise.all(Array.from({ length: 50 }, () => streams.respond(one).text()));
    expect(new Set(texts)).toEqual(new Set([`retry: 2000\n\n${"id: 1\nevent: state\ndata: 1\n\n".repeat(2)}`]));
    expect(encodings).toBe(1);
  });

  it("are written to in turns, between which everything else has its own", async () => {
    const streams = new EventStreams({ log });
    const ready = Promise.withResolvers<void>();
    async function* source(): AsyncGenerator<ServerEvents> {
      await ready.promise;
      yield [{ id: "1", event: "state", data: 1 }];
    }
    let turn = 0;
    const readers = await Promise.all(
      Array.from({ length: 320 }, async () => {
        const reader = readerOf(streams.respond(source));
        await nextText(reader);
        return { reader, writtenIn: nextText(reader).then(() => turn) };
      }),
    );
    const count = () => {
      turn++;
      if (turn < 1000) setImmediate(count);
    };
    ready.resolve();
    setImmediate(count);
    const perTurn = Map.groupBy(await Promise.all(readers.map(({ writtenIn }) => writtenIn)), (each) => each);
    turn = 1000;
    expect(perTurn.size).toBeGreaterThanOrEqual(10);
    for (const each of perTurn.values()) expect(each.length).toBeLessThanOrEqual(64);
  });

  it("pause between two writes, the longer the more there are, and read then what has happened meanwhile", async () => {
    const streams = new EventStreams({ log });
    for (let more = 0; more < 399; more++) streams.respond(manualSource().source);
    const waiting: ServerEvent[] = [];
    async function* source(): AsyncGenerator<ServerEvents> {
      for (;;) yield waiting.splice(0);
    }
    const reader = readerOf(streams.respond(source));
    await nextText(reader);
    const startedAtMs = performance.now();
    const writes: string[] = [];
    for (let write = 0; write < 4; write++) {
      waiting.push({ id: String(write), event: "progress", data: write });
      writes.push((await nextText(reader)) ?? "");
    }
    // 400 streams: 100 ms between two writes.
    expect(performance.now() - startedAtMs).toBeGreaterThan(290);
    expect(writes.map((text) => text.split("\n\n").length - 1)).toEqual([1, 1, 1, 1]);
    streams.close();
  });

  it("end together, and none begins afterwards", async () => {
    const streams = new EventStreams({ log });
    const readers = [1, 2].map(() => readerOf(streams.respond(manualSource().source)));
    for (const reader of readers) await nextText(reader);
    const ends = readers.map((reader) => nextText(reader));
    streams.close();
    expect(await Promise.all(ends)).toEqual([undefined, undefined]);
    expect(streams.size).toBe(0);
    expect(() => streams.respond(manualSource().source)).toThrow("shutting down");
  });
});

describe("silence", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is filled with heartbeats, and loses no event", async () => {
    const { source, push, pulled } = manualSource();
    const reader = readerOf(new EventStreams({ log, heartbeatMs: 15_000 }).respond(source));
    await nextText(reader);
    for (const _ of [1, 2]) {
      const beat = nextText(reader);
      await vi.advanceTimersByTimeAsync(15_000);
      expect(await beat).toBe(": heartbeat\n\n");
    }
    push(1);
    expect(await nextText(reader)).toContain("data: 1");
    expect(pulled()).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
    await reader.cancel();
  });

  it("ends at once, and soon again, when the reader has closed its half of the connection: it may be gone", async () => {
    const { source, push } = manualSource();
    const socket = new EventEmitter();
    const reader = readerOf(new EventStreams({ log }).respond(source, socket));
    await nextText(reader);
    const first = nextText(reader);
    await vi.advanceTimersByTimeAsync(1000);
    socket.emit("end");
    expect(await first).toBe(": heartbeat\n\n");
    for (const afterMs of [300, 2000, 10_000, 10_000]) {
      const beat = nextText(reader);
      await vi.advanceTimersByTimeAsync(afterMs);
      expect(await beat).toBe(": heartbeat\n\n");
    }
    push(1);
    expect(await nextText(reader)).toContain("data: 1");
    await reader.cancel();
    expect([socket.listenerCount("end"), vi.getTimerCount()]).toEqual([0, 0]);
  });
});
