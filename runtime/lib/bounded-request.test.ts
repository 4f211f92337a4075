import { createServer, type RequestListener } from "node:http";
import { expect, onTestFinished, test, vi } from "vitest";
import { boundedRequest } from "./bounded-request.ts";

test.each(["DELETE", "POST", "PUT"])(
  "a %s arrives with its whole body, and so does the request after it",
  async (method) => {
    const received: string[] = [];
    const port = await listen(async (request, response) => {
      received.push(`${request.method} ${Buffer.concat(await request.toArray()).toString()}`);
      response.end("{}");
    });
    const send = (text: string) =>
      boundedRequest({
        method,
        url: `http://127.0.0.1:${port}/`,
        headers: {},
        body: Buffer.from(text),
        signal: new AbortController().signal,
        idleMs: 5000,
        limitMs: 5000,
      });
    for (const text of ["a red lake", "a hill"]) expect(await send(text)).toMatchObject({ status: 200, text: "{}" });
    expect(received).toEqual([`${method} a red lake`, `${method} a hill`]);
  },
);

test("the clock of a request's limit goes no longer than the request", async () => {
  const port = await listen((request, response) => void (request.url === "/silent" || response.end("{}")));
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const dayMs = 24 * 60 * 60 * 1000;
  const { signal } = new AbortController();
  const get = (path: string) =>
    boundedRequest({
      method: "GET",
      url: `http://127.0.0.1:${port}${path}`,
      headers: {},
      signal,
      idleMs: dayMs,
      limitMs: dayMs,
    });
  await get("/");
  expect(vi.getTimerCount()).toBe(0);
  const limited = expect(get("/silent")).rejects.toMatchObject({ name: "TimeoutError" });
  vi.advanceTimersByTime(dayMs);
  await limited;
  expect(vi.getTimerCount()).toBe(0);
});

/** Resolves to the port. */
async function listen(onRequest: RequestListener): Promise<number> {
  const server = createServer(onRequest);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
