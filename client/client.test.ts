import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startContainer, type TestContainer, testKey } from "#functions/testing/container.ts";
import { isJob, type JobEvent, OurvidzClient } from "./client.ts";

let container: TestContainer;
let url: string;
let client: OurvidzClient;

beforeAll(async () => {
  container = await startContainer({ WAN_WORKER_API_KEY: testKey });
  ({ url } = await container.listen());
  client = new OurvidzClient({ url, key: testKey });
});
afterAll(() => container.stop());

const lake = { type: "gated", prompt: "a quiet lake" };

describe("jobs", () => {
  it("are enqueued, followed once from their beginning to their end, and listed", async () => {
    const { job_id } = await client.enqueue({ ...lake, user_id: "ada" });
    const events: JobEvent[] = [];
    for await (const event of client.follow(job_id)) events.push(event);
    expect(events.map(({ name }) => name)).toContain("progress");
    const last = events.at(-1);
    expect(last).toMatchObject({ name: "state", data: { status: "completed", job: { job_id } } });
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
    const { jobs, cursor } = await client.jobs({ user_id: "ada", status: "completed", limit: 5 });
    // Addresses of files are signed anew each second.
    expect(jobs).toMatchObject([{ ...(await client.job(job_id)), assets: [{ path: expect.any(String) }] }]);
    expect(cursor).toBeNull();
  });

  it("are waited for, or not", async () => {
    const done = await client.generate(lake);
    expect(isJob(done) && done.status).toBe("completed");
    const { id, open } = await container.submitGated();
    const accepted = await client.generate({ ...lake, delay_seconds: 60 }, { waitSeconds: 0 });
    expect(isJob(accepted)).toBe(false);
    await client.cancel(accepted.job_id);
    await open();
    await container.runtime.ended(id);
  });

  it("are cancelled and retried", async () => {
    const { job_id } = await client.enqueue({ ...lake, delay_seconds: 60 });
    expect(await client.cancel(job_id)).toEqual({ job_id, status: "cancelled" });
    await expect(client.retry(job_id)).rejects.toMatchObject({ code: "JOB_NOT_FAILED" });
    const failed = await container.runtime.submit("gated", { stumble: "as asked" });
    await container.runtime.ended(failed);
    expect(await client.deadLetters("test_queue", { limit: 1 })).toMatchObject({ jobs: [{ job_id: failed }] });
    expect(await client.redrive("test_queue")).toMatchObject({ redriven: 1, more: false });
  });
});

describe("files", () => {
  it("are uploaded, shown to their user and deleted", async () => {
    const { input } = await client.uploadInput(new Blob(["GIF89a\x02\0\x01\0"]), { userId: "ada" });
    expect(await client.input(input, { userId: "ada" })).toMatchObject({ input, mime_type: "image/gif", width: 2 });
    await expect(client.input(input, { userId: "bob" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await client.deleteInput(input)).toEqual({ input, deleted: 1 });
  });

  it("that are refused are explained, also while they are still being sent", async () => {
    await expect(client.uploadInput(new Blob(["a letter"]))).rejects.toMatchObject({ code: "INPUT_INVALID" });
    const large = new Blob([`GIF89a\x02\0\x01\0${"a".repeat(60 * 2 ** 20)}`]);
    await expect(client.uploadInput(large)).rejects.toMatchObject({ code: "BODY_TOO_LARGE" });
  });
});

describe("what is sent", () => {
  const wrong: readonly (readonly [string, unknown, string])[] = [
    ["NaN", { ...lake, config: { size: Number.NaN } }, "body.config.size: NaN is not JSON"],
    ["a BigInt", { ...lake, config: { seeds: [1n] } }, "body.config.seeds[0]: a BigInt is not JSON"],
    ["undefined in a list", { ...lake, config: { seeds: [undefined] } }, "body.config.seeds[0]: undefined is not JSON"],
    ["nothing", undefined, "body: undefined is not JSON"],
  ];
  it.each(wrong)("is refused when it holds %s", async (_what, body, message) => {
    for (const send of [client.enqueue, client.generate]) {
      const error = await Reflect.apply(send, client, [body]).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "INVALID_REQUEST", message: expect.stringContaining(message) });
    }
  });
});

describe("addresses of files", () => {
  it("are absolute, and can be opened", async () => {
    const job = await client.generate(lake);
    const [asset] = isJob(job) ? job.assets : [];
    const address = client.urlOf(asset?.url ?? "");
    expect(address.startsWith(`${url}/files/`)).toBe(true);
    expect((await fetch(address)).status).toBe(200);
    expect(client.urlOf(null)).toBeNull();
  });

  it.each([
    ["https://worker.example", "/files/a/b.png?token=x", "https://worker.example/files/a/b.png?token=x"],
    ["https://app.example/gpu/", "/files/a/b.png", "https://app.example/gpu/files/a/b.png"],
    ["https://app.example/gpu", "https://storage.example/b.png", "https://storage.example/b.png"],
  ])("of %s: %s is %s", (base, address, absolute) => {
    expect(new OurvidzClient({ url: base }).urlOf(address)).toBe(absolute);
  });
});

it("every other route is called by its types", async () => {
  expect((await client.health()).capabilities).toEqual(["gated"]);
  expect((await client.queues()).source).toBe("sqlite");
  expect((await client.resources()).gpus).toBeInstanceOf(Array);
  expect((await client.info()).job_types.map(({ type }) => type)).toEqual(["gated"]);
  expect((await client.pause()).status).toBe("paused");
  expect((await client.resume()).status).toBe("running");
  expect((await client.status()).dispatcher).toBe("running");
  expect(await client.restart("test")).toMatchObject({ status: "restarting", worker_id: "test" });
  expect((await client.validate()).checks.handlers).toBe("ok");
});

describe("what goes wrong", () => {
  it("has the container's code and message", async () => {
    await expect(client.job("nobody")).rejects.toMatchObject({ code: "JOB_NOT_FOUND", message: /nobody/ });
    await expect(client.enqueue({ type: "nonsense" })).rejects.toMatchObject({ code: "UNKNOWN_JOB_TYPE" });
    await expect(new OurvidzClient({ url }).jobs()).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    await expect(async () => {
      for await (const _event of client.follow("nobody")) break;
    }).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
  });

  it.each(["", ".", ".."])("an id %j, which would lead elsewhere, is not sent", async (id) => {
    await expect(client.job(id)).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });

  it("an id with signs of addresses is one id", async () => {
    await expect(client.job("a/../b?c#d")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
  });

  it.each(["nonsense", "ftp://worker.example", ""])("%j is no address of a container", (address) => {
    expect(() => new OurvidzClient({ url: address })).toThrow(/address/);
  });

  it.each([
    ["a page", 200, "<!doctype html>"],
    ["JSON that is no object", 200, '"up"'],
    ["an error of another make", 502, "Bad Gateway"],
    ["a redirect", 302, ""],
  ])("a server that answers with %s is no container", async (_name, status, body) => {
    const impostor = createServer((_request, response) =>
      response.writeHead(status, { location: "http://127.0.0.1:9/" }).end(body),
    ).listen(0, "127.0.0.1");
    onTestFinished(() => {
      impostor.close();
    });
    await once(impostor, "listening");
    const { port } = Object(impostor.address()) satisfies AddressInfo;
    const other = new OurvidzClient({ url: `http://127.0.0.1:${port}`, key: testKey });
    await expect(other.health()).rejects.toMatchObject({ code: "WORKER_UNREACHABLE" });
  });

  it("a container that is not there, or does not answer in time, is told apart", async () => {
    await expect(new OurvidzClient({ url: "http://127.0.0.1:9" }).health()).rejects.toMatchObject({
      code: "WORKER_UNREACHABLE",
    });
    const silent = createServer(() => undefined).listen(0, "127.0.0.1");
    onTestFinished(() => silent.closeAllConnections());
    await once(silent, "listening");
    const { port } = Object(silent.address()) satisfies AddressInfo;
    const slow = new OurvidzClient({ url: `http://127.0.0.1:${port}`, timeoutMs: 50 });
    await expect(slow.health()).rejects.toMatchObject({ code: "TIMED_OUT" });
    silent.close();
  });
});

describe("a stream that breaks", () => {
  it("is opened again after the last event, which is not told twice", async () => {
    const { id, open } = await container.submitGated();
    const opened: (string | null)[] = [];
    const breaking: typeof fetch = async (input, init) => {
      opened.push(new Headers(init?.headers).get("last-event-id"));
      const response = await fetch(input, init);
      if (opened.length > 1) {
        await open();
        return response;
      }
      // The first answer is cut off after what has happened so far.
      const reader = response.body?.getReader();
      const cut = new ReadableStream({
        async pull(controller) {
          const { value } = (await reader?.read()) ?? {};
          if (value !== undefined) controller.enqueue(value);
          if (new TextDecoder().decode(value).includes("event: preview")) {
            controller.error(new Error("cut"));
            await reader?.cancel();
          }
        },
      });
      return new Response(cut, { headers: response.headers });
    };
    const reader = new OurvidzClient({ url, key: testKey, fetch: breaking });
    const received: string[] = [];
    for await (const event of reader.follow(id, { pauseMs: 1 })) received.push(`${event.name} ${event.id}`);
    expect(opened[0]).toBeNull();
    expect(opened[1]).toMatch(/\.\d+$/);
    expect(new Set(received).size).toBe(received.length);
    expect(received.at(-1)).toMatch(/^state end\./);
  });

  it("again and again is given up", async () => {
    const { id, open } = await container.submitGated();
    const empty: typeof fetch = async () => new Response(": nothing\n\n", { status: 200 });
    const reader = new OurvidzClient({ url, key: testKey, fetch: empty });
    const reading = async () => {
      for await (const _event of reader.follow(id, { pauseMs: 1 }));
    };
    await expect(reading()).rejects.toMatchObject({ code: "WORKER_UNREACHABLE" });
    await open();
  });
});
