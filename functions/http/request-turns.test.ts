import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { RequestTurns } from "./request-turns.ts";

/* A server whose every request computes for two milliseconds before it answers. */
const workMs = 2;
const begun: string[] = [];
const sockets: Socket[] = [];
let server: Server;
let timersRun = 0;

beforeEach(async () => {
  begun.length = 0;
  server = createServer((incoming, outgoing) =>
    turns.begin(incoming, outgoing, () => {
      begun.push(incoming.url ?? "");
      const untilMs = performance.now() + workMs;
      while (performance.now() < untilMs);
      outgoing.end("done");
    }),
  );
  const turns = new RequestTurns(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
});

/** As clients do that come at once: none waits for another, nor for its own connection. */
function connected(count: number): Socket[] {
  const { port } = server.address() as AddressInfo;
  const opened = Array.from({ length: count }, () => connect(port, "127.0.0.1"));
  sockets.push(...opened);
  return opened;
}

const ask = (socket: Socket | undefined, path: string) =>
  socket?.write(`GET ${path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n`);
const ended = (all: readonly Socket[]) => Promise.all(all.map((socket) => once(socket.resume(), "close")));

it("lets what is due run, and who watches the container be answered, between 300 requests made at once", async () => {
  const all = connected(301);
  const timer = setInterval(() => timersRun++, 1);
  timersRun = 0;
  for (const [place, socket] of all.entries())
    ask(socket, place === 300 ? "/health?from=proxy" : `/jobs/${place}/events`);
  await ended(all);
  clearInterval(timer);
  expect(begun).toHaveLength(301);
  // Eight at a time take 16 ms, and only then is it their turn.
  expect(timersRun).toBeGreaterThan(25);
  expect(begun.indexOf("/health?from=proxy")).toBeLessThan(150);
  const others = begun.filter((path) => path !== "/health?from=proxy");
  expect(new Set(others).size).toBe(300);
});

it("begins a request at once when nobody waits", async () => {
  for (let place = 0; place < 3; place++) {
    const [socket] = connected(1);
    ask(socket, `/jobs/${place}`);
    await once(socket ?? server, "data");
    expect(begun).toHaveLength(place + 1);
  }
});

it("begins each once, and none for a client that has gone before its turn", async () => {
  const all = connected(200);
  for (const [place, socket] of all.entries()) ask(socket, `/jobs/${place}`);
  const last = all.at(-1);
  // The first answer: the connections are taken by then.
  await once(all[0] ?? server, "data");
  const goneAt = begun.length;
  last?.resetAndDestroy();
  await ended(all.slice(0, -1));
  expect(goneAt).toBeLessThan(150);
  expect(new Set(begun).size).toBe(begun.length);
  expect(begun).toHaveLength(199);
});
