import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { readEvents } from "#functions/testing/events.ts";
import { makeEndless } from "./support/endless-model.ts";
import { makeSlow } from "./support/slow-model.ts";

/* Many who talk with one language model at once, some that leave, and one that reads nothing. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const post = (url: string, body: object, signal?: AbortSignal) =>
  fetch(`${url}/chat`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ stream: true, ...body }),
    ...(signal === undefined ? {} : { signal }),
  });

describe("one model", () => {
  const models = mkdtempSync(join(tmpdir(), "ourvidz-clients-"));
  let container: TestContainer;
  let url: string;

  beforeAll(async () => {
    makeEndless(join(models, "chat"));
    makeSlow(join(models, "slow"), 5000);
    container = await startContainer({
      HANDLERS_DIR: join(import.meta.dirname, "../handlers"),
      MODELS_DIR: models,
      WORKERS: "chat",
      CALLS_WAITING_MAX: "40",
      // Its process is stopped for a while below, by hand.
      LEASE_SECONDS: "300",
      ABORT_GRACE_SECONDS: "300",
    });
    ({ url } = await container.listen());
    const isReady = async () => expect((await container.call("GET", "/ready")).status).toBe(200);
    await vi.waitFor(isReady, { timeout: 30_000 });
    await post(url, { prompt: "Hello", max_tokens: 1 }).then((response) => response.text());
  });

  afterAll(async () => {
    await container.stop();
    rmSync(models, { recursive: true });
  });

  const executor = () => container.runtime.executors.get("chat")?.status.pid ?? 0;
  const calls = () => container.runtime.calls.of("chat");

  async function tokens(): Promise<number> {
    const text = await container.runtime.metricsRegistry.text();
    return Number(/^ourvidz_call_steps_total\{type="chat"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  it("answers 50 clients in turns of their users, refuses whom it has no place for, and ends every stream", async () => {
    process.kill(executor(), "SIGSTOP");
    const before = await tokens();
    const done: string[] = [];
    const clients = Array.from({ length: 50 }, async (_, index) => {
      const user_id = `user-${Math.floor(index / 10)}`;
      const response = await post(url, { prompt: "Hello", max_tokens: 40, user_id });
      if (response.status !== 200) {
        const { code } = Object(await response.json());
        return { end: `${response.status} ${code}`, retryAfter: Number(response.headers.get("retry-after")) };
      }
      const last = (await Array.fromAsync(readEvents(response))).at(-1);
      if (last?.event === "done") done.push(user_id);
      return { end: String(last?.event), retryAfter: 0 };
    });
    await expect.poll(() => calls().waiting + calls().refused, { timeout: 60_000 }).toBe(49);
    const { json } = await container.call("GET", "/worker/status");
    expect(json).toMatchObject({
      workers: {
        chat: { calls: { running: { type: "chat", caller: "http", stopping: false }, waiting: 40, refused: 9 } },
      },
    });
    expect((await container.call("GET", "/health")).json).toMatchObject({ calls: { running: 1, waiting: 40 } });
    process.kill(executor(), "SIGCONT");
    const ends = Map.groupBy(await Promise.all(clients), ({ end }) => end);
    expect([...ends].map(([end, all]) => [end, all.length]).toSorted()).toEqual([
      ["503 OVERLOADED", 9],
      ["done", 41],
    ]);
    for (const { retryAfter } of ends.get("503 OVERLOADED") ?? []) expect(retryAfter).toBeGreaterThanOrEqual(1);
    expect(await tokens()).toBe(before + 41 * 40);
    // Each has nearly the same number of answers at any time, until one's are all given.
    const users = [...new Set(done)];
    const most = Math.min(...users.map((user) => done.filter((each) => each === user).length));
    for (let count = 1; count <= most * users.length; count++) {
      const given = users.map((user) => done.slice(0, count).filter((each) => each === user).length);
      expect(Math.max(...given) - Math.min(...given)).toBeLessThanOrEqual(2);
    }
    expect(users).toHaveLength(5);
    expect([calls().waiting, container.runtime.calls.active, container.app.streams.size]).toEqual([0, 0, 0]);
  });

  it("is free within a token when the client has left", async () => {
    const leave = new AbortController();
    // One whose tokens take ten milliseconds: none of them wait to be told in its stopped process.
    const response = await post(url, { prompt: "Hello", max_tokens: 2000, model: "slow" }, leave.signal);
    await response.body?.getReader().read();
    await expect.poll(() => calls().running?.steps ?? 0).toBeGreaterThan(2);
    // Time stands still for the model, until the container knows that the client is gone.
    process.kill(executor(), "SIGSTOP");
    leave.abort();
    await expect.poll(() => calls().running?.isStopping, { timeout: 60_000 }).toBe(true);
    // What it had said by then may still be on its way.
    let before = Number.NaN;
    const more = async () => {
      const last = before;
      before = await tokens();
      return before - last;
    };
    await expect.poll(more).toBe(0);
    process.kill(executor(), "SIGCONT");
    await expect.poll(() => container.runtime.calls.active, { timeout: 60_000 }).toBe(0);
    expect((await tokens()) - before).toBeLessThanOrEqual(1);
  });

  it("takes nobody's turn for those that leave the line", async () => {
    process.kill(executor(), "SIGSTOP");
    const first = post(url, { prompt: "Hello", max_tokens: 2 });
    await expect.poll(() => calls().running?.type, { timeout: 60_000 }).toBe("chat");
    const leave = new AbortController();
    const left = Array.from({ length: 20 }, () => post(url, { prompt: "Hello" }, leave.signal).catch(() => null));
    await expect.poll(() => calls().waiting, { timeout: 60_000 }).toBe(20);
    leave.abort();
    await expect.poll(() => calls().waiting, { timeout: 60_000 }).toBe(0);
    const before = await tokens();
    process.kill(executor(), "SIGCONT");
    expect(await (await first).text()).toContain("event: done");
    await Promise.all(left);
    await expect.poll(() => container.runtime.calls.active).toBe(0);
    expect((await tokens()) - before).toBe(2);
  });
});

describe("a client that reads nothing of a long answer", () => {
  let container: TestContainer;
  let port: number;
  let url: string;
  let reader: Socket;

  beforeAll(async () => {
    container = await startContainer({ HANDLERS_DIR: join(import.meta.dirname, "support/chat-handlers") });
    ({ port, url } = await container.listen({ stalledAfterMs: 500 }));
  });
  afterAll(async () => {
    reader.destroy();
    await container.stop();
  });

  it("holds up nobody, costs no more than the text, and is given up", async () => {
    reader = connect(port, "127.0.0.1").on("error", () => undefined);
    reader.pause();
    const body = JSON.stringify({ prompt: "long", stream: true });
    reader.write(
      `POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await expect.poll(() => container.app.streams.size, { timeout: 60_000 }).toBe(1);
    // The model does not wait for it: the next one is answered.
    expect(await (await post(url, { prompt: "short" })).text()).toContain('"delta":"short"');
    await expect.poll(() => container.runtime.calls.active).toBe(0);
    // What it has not taken lies here, until it is given up.
    await expect.poll(() => container.app.streams.size, { timeout: 60_000 }).toBe(0);
    const closed = new Promise((resolve) => reader.once("close", resolve));
    let taken = 0;
    reader.on("data", (bytes) => {
      taken += bytes.length;
    });
    reader.resume();
    await closed;
    expect(taken).toBeLessThan(6_000_000);
  });
});
