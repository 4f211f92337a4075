import { createServer } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { boundedRequest } from "./bounded-request.ts";

test.each(["DELETE", "POST", "PUT"])(
  "a %s arrives with its whole body, and so does the request after it",
  async (method) => {
    const received: string[] = [];
    const server = createServer(async (request, response) => {
      received.push(`${request.method} ${Buffer.concat(await request.toArray()).toString()}`);
      response.end("{}");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
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
