import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { NotJsonError, RefusedError, RestTransport, StaleConnectionError } from "./rest-transport.ts";

interface Seen {
  readonly path: string;
  readonly body: unknown;
  readonly headers: IncomingMessage["headers"];
}

let close: (() => void) | undefined;
afterEach(() => close?.());

/** A server that remembers what it was asked and leaves the answer to the test. */
async function serve(answer: (response: ServerResponse, seen: Seen, count: number) => void) {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const chunks = await request.toArray();
    const one = {
      path: request.url ?? "",
      body: JSON.parse(Buffer.concat(chunks).toString()),
      headers: request.headers,
    };
    seen.push(one);
    answer(response, one, seen.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  close = () => {
    server.closeAllConnections();
    server.close();
  };
  const port = portOf(server);
  const transport = new RestTransport({ url: `http://127.0.0.1:${port}/db/`, token: "secret", timeoutMs: 5000 });
  return { seen, transport, server };
}

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("The server does not listen.");
  return address.port;
}

const echo = (response: ServerResponse, { path, body }: Seen) =>
  response
    .setHeader("upstash-sync-token", "t1")
    .end(
      JSON.stringify(
        path.endsWith("/pipeline") && Array.isArray(body) ? body.map((result) => ({ result })) : { result: body },
      ),
    );

describe("a command", () => {
  test("goes to the address's own path with the token, and with the sync token of the last answer", async () => {
    const { seen, transport } = await serve(echo);
    expect(await transport.send(["GET", "lake"])).toEqual(["GET", "lake"]);
    await transport.send(["GET", "hill"]);
    expect(seen.map(({ path }) => path)).toEqual(["/db/", "/db/"]);
    expect(seen[0]?.headers).toMatchObject({ authorization: "Bearer secret", "upstash-sync-token": "" });
    expect(seen[1]?.headers).toMatchObject({ "upstash-sync-token": "t1", connection: "keep-alive" });
  });

  test("that may wait shares the request of the next one, before it", async () => {
    const { seen, transport } = await serve(echo);
    const results = await Promise.all([
      transport.send(["A"], 60_000),
      transport.send(["B"], 60_000),
      transport.send(["C"]),
    ]);
    expect(results).toEqual([["A"], ["B"], ["C"]]);
    expect(seen).toMatchObject([{ path: "/db/pipeline", body: [["A"], ["B"], ["C"]] }]);
  });

  test("that waited in vain is sent alone", async () => {
    const { seen, transport } = await serve(echo);
    expect(await transport.send(["A"], 1)).toEqual(["A"]);
    expect(seen).toMatchObject([{ path: "/db/", body: ["A"] }]);
  });

  test("that is long has a request of its own", async () => {
    const { seen, transport } = await serve(echo);
    const slow = transport.send(["A"], 60_000);
    await transport.send(["SET", "hill", "x".repeat(100_000)]);
    expect(seen).toHaveLength(1);
    await Promise.all([transport.send(["B"]), slow]);
    expect(seen.map(({ path }) => path)).toEqual(["/db/", "/db/pipeline"]);
  });
});

describe("a failure", () => {
  test("of one of several commands is that one's", async () => {
    const { transport } = await serve((response) => response.end('[{"error":"ERR no"},{"result":7}]'));
    const [first, second] = await Promise.allSettled([transport.send(["A"], 60_000), transport.send(["B"])]);
    expect(first).toMatchObject({ status: "rejected", reason: new RefusedError("ERR no") });
    expect(second).toMatchObject({ status: "fulfilled", value: 7 });
  });

  test("of a request is that of all its commands", async () => {
    const { transport } = await serve((response) => response.writeHead(401).end('{"error":"Unauthorized"}'));
    const outcomes = await Promise.allSettled([transport.send(["A"], 60_000), transport.send(["B"])]);
    expect(outcomes).toMatchObject([
      { reason: new RefusedError("Unauthorized") },
      { reason: new RefusedError("Unauthorized") },
    ]);
  });

  test.each([
    ["a page", 502, "<html>Bad gateway</html>"],
    ["JSON without a result", 200, "{}"],
    ["JSON that is no object", 200, "null"],
    ["a status without a reason", 500, "{}"],
  ])("is told from an answer: %s", async (_name, status, body) => {
    const { transport } = await serve((response) => response.writeHead(status).end(body));
    await expect(transport.send(["A"])).rejects.toBeInstanceOf(NotJsonError);
  });

  test("is a list of another length", async () => {
    const { transport } = await serve((response) => response.end('[{"result":1}]'));
    const outcomes = await Promise.allSettled([transport.send(["A"], 60_000), transport.send(["B"])]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });

  test("is an answer that does not come in time, or does not end", async () => {
    const { server } = await serve((response, _seen, count) => {
      if (count === 2) response.writeHead(200, { "content-length": 100 }).write('{"res');
    });
    const port = portOf(server);
    const transport = new RestTransport({ url: `http://127.0.0.1:${port}`, token: "secret", timeoutMs: 50 });
    await expect(transport.send(["A"])).rejects.toMatchObject({ name: "TimeoutError" });
    await expect(transport.send(["B"])).rejects.toMatchObject({ name: "TimeoutError" });
  });

  test("is a connection that is cut in the middle of an answer", async () => {
    const { transport } = await serve((response) => {
      response.writeHead(200, { "content-length": 100 }).write('{"res', () => response.destroy());
    });
    await expect(transport.send(["A"])).rejects.toThrow();
  });

  test("of a connection that had been at rest is named, because a new one will do", async () => {
    const { transport } = await serve((response, seen, count) => {
      if (count === 2) response.destroy();
      else echo(response, seen);
    });
    await transport.send(["A"]);
    await expect(transport.send(["B"])).rejects.toBeInstanceOf(StaleConnectionError);
    expect(await transport.send(["C"])).toEqual(["C"]);
  });

  test("has words, also when nobody listens at any of a name's addresses", async () => {
    const { server } = await serve(echo);
    const port = portOf(server);
    close?.();
    const transport = new RestTransport({ url: `http://localhost:${port}`, token: "secret", timeoutMs: 5000 });
    await expect(transport.send(["A"])).rejects.toThrow(/ECONNREFUSED/);
  });
});
