import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Connections } from "./connections.ts";

/* Real sockets of several addresses of this machine: 127.0.0.1, 127.0.0.2 … */
const limits = { total: 6, perAddress: 4 };
const halfHead = "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ";
const halfBody = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
const whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

let server: ReturnType<typeof createServer>;
let connections: Connections;
let refused: number;
let requests: { request: IncomingMessage; response: ServerResponse }[];
let clients: Socket[];

beforeEach(async () => {
  refused = 0;
  requests = [];
  clients = [];
  server = createServer((request, response) => {
    requests.push({ request, response });
    request.resume();
  });
  connections = new Connections(server, limits, () => refused++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => {
  for (const client of clients) client.destroy();
  server.closeAllConnections();
  server.close();
});

/** Resolves when the server has the connection and has read what is sent. */
async function open(text: string, host = 1): Promise<Socket> {
  const { port } = server.address() as AddressInfo;
  const known = requests.length;
  const accepted = once(server, "connection");
  const client = connect({ port, host: "127.0.0.1", localAddress: `127.0.0.${host}` });
  clients.push(client);
  client.on("error", () => undefined).resume();
  await Promise.all([once(client, "connect"), accepted]);
  client.write(text);
  if (text !== halfHead && !client.destroyed) await expect.poll(() => requests.length).toBe(known + 1);
  return client;
}

const isOpen = (client: Socket) => !client.destroyed;
const ended = (client: Socket) => expect.poll(() => client.destroyed).toBe(true);

it("the one that has waited longest goes for a new one of its address, whatever it waits with", async () => {
  const head = await open(halfHead);
  const body = await open(halfBody);
  const silent = await open(halfHead);
  const busy = await open(whole);
  const fifth = await open(whole);
  await ended(head);
  const sixth = await open(whole);
  await ended(body);
  expect([silent, busy, fifth, sixth].map(isOpen)).toEqual([true, true, true, true]);
  expect([connections.size, refused]).toEqual([4, 2]);
});

it("a new one is refused where all of its address are busy; others of other addresses stay", async () => {
  const busy = [await open(whole), await open(whole), await open(whole), await open(whole)];
  const other = await open(halfHead, 2);
  const late = await open(halfHead);
  await ended(late);
  expect([...busy, other].map(isOpen)).toEqual([true, true, true, true, true]);
  expect([connections.size, refused]).toEqual([5, 1]);
});

it("in all, the new one's address loses one of its own before others do", async () => {
  const theirs = [await open(halfHead, 2), await open(halfHead, 2), await open(halfHead, 2)];
  const own = [await open(halfHead), await open(halfHead), await open(halfHead)];
  const next = await open(halfHead);
  await ended(own[0] ?? next);
  const stranger = await open(whole, 3);
  await expect.poll(() => [...theirs, ...own, next].filter(isOpen).length).toBe(5);
  expect(isOpen(stranger)).toBe(true);
  expect(connections.size).toBe(6);
});

it("an answer that has ended makes its connection wait, behind the others", async () => {
  const first = await open(whole);
  const second = await open(halfHead);
  requests[0]?.response.end("done");
  await once(first, "data");
  await open(whole);
  await open(whole);
  await open(whole);
  await ended(second);
  expect(isOpen(first)).toBe(true);
  await open(whole);
  await ended(first);
});

it("a body that has come whole makes its connection busy", async () => {
  const client = await open(halfBody);
  const arrived = once(requests[0]?.request ?? server, "end");
  client.write("123456");
  await arrived;
  for (let more = 0; more < 3; more++) await open(halfHead);
  await open(halfHead);
  expect(isOpen(client)).toBe(true);
});

it("a connection that is gone leaves its place", async () => {
  const gone = [await open(halfHead), await open(whole), await open(halfBody), await open(halfHead)];
  for (const client of gone) client.destroy();
  await expect.poll(() => connections.size).toBe(0);
  for (let more = 0; more < 4; more++) await open(whole);
  expect([connections.size, refused]).toEqual([4, 0]);
});

it("at the close, those without an answer under way end at once, the others after it", async () => {
  const waiting = await open(halfHead);
  const busy = await open(whole);
  server.close();
  connections.close();
  await ended(waiting);
  expect(isOpen(busy)).toBe(true);
  requests[0]?.response.end("done");
  await ended(busy);
});
