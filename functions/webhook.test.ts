import { once } from "node:events";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { verifyCallback } from "#contract/signature.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

/* The address in a job's `webhook_url`, from the request to what arrives there. */
const secret = "a-secret-for-webhooks";
const arrivedBody = z.looseObject({ job_id: z.string(), status: z.string(), assets: z.array(z.looseObject({})) });
interface Arrived {
  readonly path: string;
  readonly body: z.output<typeof arrivedBody>;
  readonly verdict: string;
}

let container: TestContainer;
let url: string;
let arrived: Arrived[];
/** Statuses of the next answers; 200 when there is none. */
let answers: number[];
const receiver = createServer(async (request, response) => {
  const bytes = await buffer(request);
  const status = answers.shift() ?? 200;
  const headers = new Headers(Object.entries(request.headersDistinct).map(([name, values]) => [name, `${values}`]));
  if (status === 200) {
    const body = arrivedBody.parse(JSON.parse(bytes.toString()));
    arrived.push({ path: request.url ?? "", body, verdict: await verifyCallback(secret, headers, bytes) });
  }
  response.writeHead(status, status === 302 ? { location: "/elsewhere" } : {}).end();
});

beforeAll(async () => {
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const address = receiver.address();
  const host = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  url = `http://${host}/ended?of=app`;
  container = await startContainer({
    WEBHOOK_HOSTS_ALLOWED: host,
    WEBHOOK_SECRET: secret,
    WAN_WORKER_API_KEY: "a-key-for-webhook-tests",
    PUBLIC_URL: "https://worker.example",
  });
});
beforeEach(() => {
  arrived = [];
  answers = [];
});
afterAll(async () => {
  await container.stop();
  receiver.closeAllConnections();
  receiver.close();
});

const headers = { Authorization: "Bearer a-key-for-webhook-tests" };
const enqueue = (fields: Record<string, unknown>) =>
  container.call("POST", "/jobs", { headers, body: { type: "gated", prompt: "a quiet lake", ...fields } });
const idOf = (json: unknown) => z.object({ job_id: z.string() }).parse(json).job_id;
const outbox = async () =>
  z
    .object({
      rows: z.array(z.looseObject({ step: z.string() })),
      alarms: z.array(z.looseObject({ code: z.string() })),
    })
    .parse((await container.call("GET", "/outbox", { headers })).json);

describe("the end of a job with a webhook", () => {
  it("is reported to it when the job is settled, signed, with files that can be fetched", async () => {
    const id = idOf((await enqueue({ webhook_url: url })).json);
    await expect.poll(() => arrived.length).toBe(1);
    expect(arrived[0]).toMatchObject({
      path: "/ended?of=app",
      verdict: "valid",
      body: {
        job_id: id,
        status: "completed",
        run: 1,
        attempt: 1,
        assets: [
          {
            url: `anonymous/${id}/0.txt`,
            signed_url: expect.stringMatching(/^https:\/\/worker\.example\/files\/gated\/anonymous\/.+\?expires=/),
          },
        ],
      },
    });
    expect(await container.runtime.queue.get(id)).toMatchObject({ status: "completed" });
    await expect.poll(() => container.runtime.outbox.count()).toBe(0);
  });

  it("is reported once, and again after a redrive", async () => {
    const id = idOf((await enqueue({ webhook_url: url, config: { stumble: "as asked" } })).json);
    await expect.poll(() => arrived.map(({ body }) => body.run)).toEqual([1]);
    await container.call("POST", `/jobs/${id}/retry`, { headers });
    await expect
      .poll(() => arrived.map(({ body }) => [body.run, body.status]))
      .toEqual([
        [1, "failed"],
        [2, "failed"],
      ]);
  });

  it("that never ran is reported too", async () => {
    const id = idOf((await enqueue({ webhook_url: url, delay_seconds: 3600 })).json);
    await container.call("DELETE", `/jobs/${id}`, { headers });
    await expect.poll(() => arrived.map(({ body }) => [body.job_id, body.status])).toEqual([[id, "cancelled"]]);
  });

  it("is reported again where the address did not take it, and the job has ended meanwhile", async () => {
    answers = Array.from({ length: 1000 }, () => 503);
    const id = idOf((await enqueue({ webhook_url: url })).json);
    await expect
      .poll(async () => (await outbox()).rows)
      .toMatchObject([{ job_id: id, step: "webhook", becomes: "completed", error: { code: "WEBHOOK_UNREACHABLE" } }]);
    expect(await container.runtime.queue.get(id)).toMatchObject({ status: "completed" });
    answers = [];
    await container.call("POST", "/outbox/try", { headers });
    await expect.poll(() => arrived.map(({ body }) => body.job_id)).toEqual([id]);
  });

  it("is not reported where a redirect leads, and the container stays healthy", async () => {
    answers = [302];
    idOf((await enqueue({ webhook_url: url })).json);
    await expect
      .poll(async () => (await outbox()).alarms)
      .toMatchObject([{ code: "WEBHOOK_REFUSED", step: "webhook", needs_mending: true, jobs: 1 }]);
    expect((await container.call("GET", "/health")).json).toMatchObject({ status: "healthy", problems: [] });
    await container.call("POST", "/outbox/try", { headers });
    await expect.poll(() => arrived.map(({ path }) => path)).toEqual(["/ended?of=app"]);
  });

  it("is given up where the address refuses it for good", async () => {
    answers = [400];
    const id = idOf((await enqueue({ webhook_url: url })).json);
    await container.runtime.ended(id);
    await expect.poll(() => [answers.length, container.runtime.outbox.count()]).toEqual([0, 0]);
    expect(arrived).toEqual([]);
  });
});

describe("a webhook", () => {
  it.each([
    ["http://app.example/ended", "it is not https"],
    ["https://127.0.0.1/ended", "loopback"],
    ["https://2130706433/ended", "loopback"],
    ["https://[::1]/ended", "loopback"],
    ["https://localhost/ended", "loopback"],
    ["https://app.localhost./ended", "loopback"],
    ["https://10.1.2.3/ended", "private"],
    ["https://169.254.169.254/latest/meta-data", "linkLocal"],
    ["https://app.example:22/ended", "the port 22"],
  ])("%s is refused when the job is sent: %s", async (webhook_url, why) => {
    const { status, json } = await enqueue({ webhook_url });
    expect({ status, json }).toMatchObject({
      status: 422,
      json: { code: "WEBHOOK_REFUSED", error: expect.stringContaining(why) },
    });
  });

  it.each([
    "ftp://app.example/ended",
    "app.example/ended",
    "https://user:word@app.example/ended",
    "https://app.example/#ended",
    `https://app.example/${"a".repeat(2048)}`,
    7,
  ])("that is none is a bad field of the job: %.40s", async (webhook_url) => {
    const { status, json } = await enqueue({ webhook_url });
    expect({ status, json }).toMatchObject({ status: 422, json: { details: [{ field: "webhook_url" }] } });
  });

  it("is not called where its host turns out to be private, however it came to the queue", async () => {
    const { webhook } = container.runtime;
    expect(() => webhook.check("https://app.example/ended")).not.toThrow();
    const id = await container.runtime.submit("gated", {}, { webhook_url: "https://localhost:1/ended" });
    await container.runtime.ended(id);
    await expect.poll(() => container.runtime.outbox.count()).toBe(0);
    expect(await container.runtime.metricsRegistry.text()).toMatch(
      /ourvidz_alarms_total\{alarm="webhook_refused"\} [1-9]/,
    );
  });
});
