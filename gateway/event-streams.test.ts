import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startTestGateway({ maxEventStreams: 20 });
});
afterAll(() => gateway.close());

const readers: EventReader[] = [];
afterEach(async () => {
  for (const reader of readers.splice(0)) await reader.stop();
});

/** Reads an event stream as any program would: the `data` fields of each event, joined as the standard says. */
class EventReader {
  readonly #stop = new AbortController();
  readonly #url: string;
  #events: AsyncGenerator<string> | null = null;

  constructor(path: string, from: TestGateway = gateway) {
    this.#url = `${from.url}${path}`;
    readers.push(this);
  }

  async open(method = "GET"): Promise<this> {
    const headers = { authorization: `Bearer ${gateway.token}`, accept: "text/event-stream" };
    const response = await fetch(this.#url, { method, headers, signal: this.#stop.signal });
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    if (response.body === null) throw new Error("the stream has no body");
    this.#events = events(response.body);
    return this;
  }

  /** The next event's data; undefined when the stream has ended. */
  async next(): Promise<string | undefined> {
    const { value, done } = (await this.#events?.next()) ?? { value: undefined, done: true };
    return done ? undefined : value;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#events?.next().catch(() => undefined);
  }
}

async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let text = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const parts = `${text}${chunk}`.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) {
      const lines = part.split("\n").filter((line) => line.startsWith("data: "));
      if (lines.length > 0) yield lines.map((line) => line.slice(6)).join("\n");
    }
  }
}

const publish = async (channel: string, text: string, from = gateway) =>
  (await from.send("/", { body: ["PUBLISH", channel, text] })).json();

const subscribers = async (channel: string) => {
  const { result } = (await gateway.send("/", { body: ["PUBSUB", "NUMSUB", channel] })).json() as { result: unknown[] };
  return result[1];
};

describe("subscribe", () => {
  test.each(["GET", "POST"])("a %s is notified of the subscription, then of each message", async (method) => {
    const reader = await new EventReader("/subscribe/chat").open(method);
    expect(await reader.next()).toBe("subscribe,chat,1");
    expect(await publish("chat", "hello")).toEqual({ result: 1 });
    await publish("chat", '{"a":[1,2]}');
    await publish("chat", "grün, 東京");
    expect([await reader.next(), await reader.next(), await reader.next()]).toEqual([
      "message,chat,hello",
      'message,chat,{"a":[1,2]}',
      "message,chat,grün, 東京",
    ]);
  });

  test("a text of several lines is one event", async () => {
    const reader = await new EventReader("/subscribe/lines").open();
    await reader.next();
    await publish("lines", "one\ntwo\n\nthree");
    await publish("lines", "next");
    expect([await reader.next(), await reader.next()]).toEqual([
      "message,lines,one\ntwo\n\nthree",
      "message,lines,next",
    ]);
  });

  test("several channels, with names that are escaped in the URL", async () => {
    const reader = await new EventReader("/subscribe/a%2Fb/c%20d").open();
    expect([await reader.next(), await reader.next()]).toEqual(["subscribe,a/b,1", "subscribe,c d,2"]);
    await publish("c d", "x");
    await publish("a/b", "y");
    expect([await reader.next(), await reader.next()]).toEqual(["message,c d,x", "message,a/b,y"]);
  });

  test("readers of one channel come and go without affecting each other, and Redis gets one SUBSCRIBE", async () => {
    const first = await new EventReader("/subscribe/shared").open();
    const second = await new EventReader("/subscribe/shared").open();
    await first.next();
    await second.next();
    expect(await subscribers("shared")).toBe(1);
    await first.stop();
    const third = await new EventReader("/subscribe/shared").open();
    await third.next();
    await publish("shared", "still here");
    expect([await second.next(), await third.next()]).toEqual([
      "message,shared,still here",
      "message,shared,still here",
    ]);
    await second.stop();
    await third.stop();
    await expect.poll(() => subscribers("shared")).toBe(0);
  });

  test("many readers that leave and come at once all hear the next message", async () => {
    for (let round = 0; round < 5; round++) {
      const group = Array.from({ length: 8 }, () => new EventReader("/subscribe/crowd"));
      await Promise.all(group.map((reader) => reader.open()));
      await Promise.all(group.map((reader) => reader.next()));
      const staying = group.slice(4);
      await Promise.all(group.slice(0, 4).map((reader) => reader.stop()));
      await publish("crowd", `round ${round}`);
      expect(await Promise.all(staying.map((reader) => reader.next()))).toEqual(
        staying.map(() => `message,crowd,round ${round}`),
      );
      await Promise.all(staying.map((reader) => reader.stop()));
    }
  });

  test("a quiet stream shows every quarter of a minute that it is alive", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const own = await startTestGateway();
    const stream = await fetch(`${own.url}/subscribe/quiet?_token=${own.token}`);
    const reader = stream.body?.getReader();
    const read = async () => Buffer.from((await reader?.read())?.value ?? []).toString();
    expect(await read()).toBe("data: subscribe,quiet,1\n\n");
    vi.advanceTimersByTime(15_000);
    expect(await read()).toBe(":\n\n");
    vi.useRealTimers();
    await own.close();
  });

  test("no channel is an error, and so are more streams than allowed", async () => {
    expect((await gateway.send("/subscribe")).json()).toEqual({
      error: "ERR wrong number of arguments for 'subscribe' command",
    });
    const open = Array.from({ length: 20 }, () => new EventReader("/subscribe/full").open());
    await Promise.all(open);
    expect((await gateway.send("/subscribe/full")).status).toBe(503);
  });

  test("a reader that does not read is cut off, others are not", async () => {
    const lazy = connect(gateway.port, "127.0.0.1").pause();
    const head = `GET /subscribe/flood HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.token}\r\n\r\n`;
    lazy.write(head);
    await expect.poll(() => subscribers("flood")).toBe(1);
    const text = "x".repeat(100_000);
    for (let sent = 0; sent < 200; sent++) await publish("flood", text);
    await expect.poll(() => subscribers("flood")).toBe(0);
    lazy.destroy();
    expect((await gateway.send("/ping")).status).toBe(200);
  });
});

describe("psubscribe", () => {
  test("names the pattern and the channel", async () => {
    const reader = await new EventReader("/psubscribe/jobs:*").open();
    expect(await reader.next()).toBe("psubscribe,jobs:*,1");
    await publish("jobs:one", "done, well");
    expect(await reader.next()).toBe("pmessage,jobs:*,jobs:one,done, well");
  });
});

describe("the official client", () => {
  test("subscribes to channels and patterns", async () => {
    const redis = gateway.client();
    const channel = redis.subscribe<{ step: number }>("progress");
    const pattern = redis.psubscribe<{ step: number }>("prog*");
    const ready = [channel, pattern].map(
      (subscriber, index) => new Promise((resolve) => subscriber.on(index === 0 ? "subscribe" : "psubscribe", resolve)),
    );
    expect(await Promise.all(ready)).toEqual([1, 1]);
    const messages = Promise.all([
      new Promise((resolve) => channel.on("message", resolve)),
      new Promise((resolve) => pattern.on("pmessage", resolve)),
    ]);
    expect(await redis.publish("progress", { step: 3 })).toBe(2);
    expect(await messages).toEqual([
      { channel: "progress", message: { step: 3 } },
      { pattern: "prog*", channel: "progress", message: { step: 3 } },
    ]);
    await Promise.all([channel.unsubscribe(), pattern.unsubscribe()]);
  });
});

describe("when something ends", () => {
  test("a lost Redis ends the streams, and after its return there are new ones", async () => {
    const own = await startTestGateway();
    const reader = await new EventReader("/subscribe/chat", own).open();
    await reader.next();
    await own.redis.kill();
    expect(await reader.next()).toBeUndefined();
    expect((await own.send("/subscribe/chat")).status).toBe(503);
    await own.redis.restart();
    const again = await new EventReader("/subscribe/chat", own).open();
    expect(await again.next()).toBe("subscribe,chat,1");
    await expect.poll(() => publish("chat", "back", own)).toEqual({ result: 1 });
    expect(await again.next()).toBe("message,chat,back");
    await own.close();
  });

  test("closing the gateway ends the streams at once and in order", async () => {
    const own = await startTestGateway();
    const reader = await new EventReader("/subscribe/chat", own).open();
    await reader.next();
    await own.close();
    expect(await reader.next()).toBeUndefined();
  });

  test("a client that leaves before its stream has begun leaves nothing behind", async () => {
    for (let round = 0; round < 20; round++) {
      const socket = connect(gateway.port, "127.0.0.1");
      socket.write(`GET /subscribe/gone HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.token}\r\n\r\n`);
      await once(socket, "connect");
      socket.resetAndDestroy();
    }
    await expect.poll(() => subscribers("gone"), { timeout: 10_000 }).toBe(0);
    expect((await gateway.send("/ping")).status).toBe(200);
  });
});
