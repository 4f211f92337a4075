import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { JobCallback } from "#contract/callback.ts";
import type { Network } from "#runtime/inputs/network.ts";
import { Webhook } from "./webhook.ts";

/* Where a webhook's request really goes: by a resolver that answers what a test wants. */
const callback: JobCallback = { job_id: "a", status: "completed", attempt: 1, run: 1, assets: [], metadata: {} };
let server: Server;
let port: number;
let requests: string[];
let resolved: string[];

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(`${request.headers.host}${request.url}`);
    request.resume().on("end", () => response.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
beforeEach(() => {
  requests = [];
  resolved = [];
});
afterAll(() => void server.close());

function webhookWith(addresses: readonly string[]): Webhook {
  const network: Network = {
    async resolve(hostname) {
      resolved.push(hostname);
      return addresses;
    },
    connect: () => connect(port, "127.0.0.1"),
  };
  const config = { secret: null, allowedHosts: ["app.lan:80"] };
  return new Webhook({ config, nowMs: Date.now, network, fileAddress: async () => null });
}
const send = (webhook: Webhook, url: string) => webhook.send(url, callback, "b", new AbortController().signal);

it("resolves the host once and goes to what was checked", async () => {
  await send(webhookWith(["10.0.0.7"]), "http://app.lan/ended");
  expect([resolved, requests]).toEqual([["app.lan"], ["app.lan/ended"]]);
});

it.each([[["127.0.0.1"]], [["93.184.216.34", "192.168.1.1"]], [["::ffff:10.0.0.1"]]])(
  "refuses a public name that leads to %j, without a request",
  async (addresses) => {
    await expect(send(webhookWith(addresses), "https://app.example/ended")).rejects.toMatchObject({
      name: "PermanentError",
      code: "WEBHOOK_REFUSED",
      message: expect.stringContaining("WEBHOOK_HOSTS_ALLOWED"),
    });
    expect(requests).toEqual([]);
  },
);

it("calls an emulated endpoint's address as it stands in the emulator alone", async () => {
  const url = `http://127.0.0.1:${port}/emulated`;
  const config = { secret: null, allowedHosts: [] };
  const signal = new AbortController().signal;
  const own = { config, nowMs: Date.now, fileAddress: async () => null };
  const guarded = new Webhook(own).sendBody(url, {}, signal, { isEmulated: true });
  await expect(guarded).rejects.toMatchObject({ code: "WEBHOOK_REFUSED" });
  const emulator = new Webhook({ ...own, trustsEmulated: true });
  await expect(emulator.sendBody(url, {}, signal)).rejects.toMatchObject({ code: "WEBHOOK_REFUSED" });
  expect(requests).toEqual([]);
  await emulator.sendBody(url, {}, signal, { isEmulated: true });
  expect(requests).toEqual([`127.0.0.1:${port}/emulated`]);
});

it("is tried again when the host has no address, and says so without the query", async () => {
  const error = await send(webhookWith([]), "https://app.example/ended?token=secret").catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name: "RetryableError", code: "WEBHOOK_UNREACHABLE" });
  expect(String(error)).not.toContain("secret");
});
