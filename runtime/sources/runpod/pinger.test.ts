import { Worker } from "node:worker_threads";
import { expect, it, onTestFinished } from "vitest";
import { Pinger } from "./pinger.ts";
import { openSource } from "./testing/open-source.ts";

/* The server is in a thread of its own too: the main one is to be blocked. */
const serverCode = `
  const { createServer } = require("node:http");
  const { parentPort, workerData } = require("node:worker_threads");
  const count = new Int32Array(workerData);
  const urls = [];
  const server = createServer((request, response) => {
    urls.push(request.url + " " + request.headers.authorization);
    response.end();
    Atomics.add(count, 0, 1);
    Atomics.notify(count, 0);
  });
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
  parentPort.on("message", () => parentPort.postMessage(urls));
`;

const limitMs = 15_000;

async function startServer() {
  const count = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(serverCode, { eval: true, workerData: count.buffer });
  const next = <Message>() => new Promise<Message>((resolve) => thread.once("message", resolve));
  const port = await next<number>();
  onTestFinished(async () => void (await thread.terminate()));
  return {
    count,
    url: `http://127.0.0.1:${port}/ping/pod-1?gpu=A40`,
    urls: async () => {
      const urls = next<string[]>();
      thread.postMessage("urls");
      return await urls;
    },
  };
}

it("pings with the ids of the jobs, and goes on while the process does nothing else", async () => {
  const { count, url, urls } = await startServer();
  const pinger = new Pinger(
    { url, intervalMs: 20, headers: { authorization: "raw-key" }, version: "1.2.3" },
    undefined,
  );
  onTestFinished(() => pinger.close());
  pinger.set(["a", "b"]);
  await expect
    .poll(async () => (await urls()).at(-1))
    .toBe("/ping/pod-1?gpu=A40&job_id=a%2Cb&runpod_version=1.2.3 raw-key");
  // Blocks this thread until five more have come: nothing of it runs meanwhile.
  const before = Atomics.load(count, 0);
  for (let seen = before; seen < before + 5; seen = Atomics.load(count, 0)) {
    expect(Atomics.wait(count, 0, seen, limitMs)).not.toBe("timed-out");
  }
  pinger.set([]);
  await expect.poll(async () => (await urls()).at(-1)).toBe("/ping/pod-1?gpu=A40&runpod_version=1.2.3 raw-key");
});

it("names the job of an earlier process as long as somebody sees to its result, and no longer", async () => {
  const earlier = await openSource();
  earlier.server.give({ id: "a" });
  const lease = await earlier.takeOne();
  const pingUrl = `${earlier.server.url}/ping/$RUNPOD_POD_ID`;
  const { source } = await openSource({ pingUrl, pingIntervalMs: 20, leaseSeconds: 1 });
  const pinged = () => earlier.server.heard.filter(({ url }) => url.includes("/ping/")).map(({ url }) => url);
  const renewed = async () => {
    expect(await source.renew([{ lease }])).toEqual(["unknown"]);
    return pinged().some((url) => url.includes("job_id=a"));
  };
  await expect.poll(renewed).toBe(true);
  await expect.poll(() => pinged().at(-1)).not.toContain("job_id");
});
