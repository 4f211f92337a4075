import { describe, expect, it } from "vitest";
import type { JobResult, ResultFiles } from "../job-source.ts";
import { openSource } from "./testing/open-source.ts";

const result: JobResult = { assets: [], metadata: { seed: 7 }, text: "a quiet lake" };
const failure = { code: "HANDLER_FAILED", message: "the lake is dry" } as const;
const job = (id: string, input: unknown = { prompt: "a lake" }) => ({ id, input });

/** What a container posts of an error: a text that holds JSON. */
function errorOf(body: unknown) {
  return JSON.parse((body as { error: string }).error);
}

describe("what is posted", () => {
  it.each([[500], [429], ["cut"], [503]] as const)("is posted again after %s", async (fault) => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    server.postAnswers.push(fault, fault, 200);
    expect(await source.complete(lease, result)).toBe("completed");
    expect(server.bodies("a")).toHaveLength(3);
  });

  it("is left to the outbox when no try arrives, and the job stays this container's until one does", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    server.postAnswers.push(500, 502, 503);
    await expect(source.complete(lease, result)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
    expect(await source.renew([{ lease }])).toEqual(["held"]);
    expect(await source.complete(lease, result)).toBe("completed");
  });

  it.each([302, 401])("is not taken for posted where it is answered with %i", async (status) => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    server.postAnswers.push(status);
    await expect(source.complete(lease, result)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
    expect(await source.complete(lease, result)).toBe("completed");
  });

  it("is posted of a job whose id is no header, and no part of an address", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("湖/\ud800"));
    expect(await source.complete(await takeOne(), result)).toBe("completed");
    const [post] = server.posts("%E6%B9%96%2F%EF%BF%BD");
    expect(post?.headers["x-request-id"]).toBe("%E6%B9%96%2F%EF%BF%BD");
  });

  it("is posted once where it is a failure that is refused", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    server.postAnswers.push(400);
    expect(await source.fail(await takeOne(), failure)).toBe("failed");
    expect(server.bodies("a")).toHaveLength(1);
  });

  it("is a failure where the result is refused with 400, and nothing where the job is gone", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    server.postAnswers.push(400);
    expect(await source.complete(await takeOne(), result)).toBe("completed");
    expect(errorOf(server.bodies("a")[1])).toMatchObject({ error_type: "RESULT_TOO_LARGE" });
    server.give(job("b"));
    const lease = await takeOne();
    server.postAnswers.push(404);
    expect(await source.complete(lease, result)).toBe("unknown");
    expect(server.bodies("b")).toHaveLength(1);
  });

  it("has the addresses of files, else their content, and refuses what does not fit before anybody is notified", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    const asset = { type: "image", url: "ann/a/0.png", mime_type: "image/png", size_bytes: 5, index: 0 };
    const withFile = { assets: [asset], metadata: { refresh_worker: false } };
    const files = (address: string | null, content: Uint8Array | "too large" | null): ResultFiles => ({
      address: async (path) => (address === null ? null : `${address}/${path}`),
      read: async () => content,
    });
    const inline = files(null, Buffer.from("a lake"));
    expect(await source.refusalOf(lease, withFile, files(null, "too large"))).toMatchObject({
      code: "RESULT_TOO_LARGE",
    });
    expect(await source.refusalOf(lease, withFile, files(null, null))).toMatchObject({ code: "NO_ASSETS" });
    expect(await source.refusalOf(lease, withFile, inline)).toBeNull();
    const large = { assets: [], metadata: {}, text: "m".repeat(10 * 1024 * 1024) };
    const refused = await source.refusalOf(lease, large, inline);
    expect(refused).toMatchObject({ code: "RESULT_TOO_LARGE", message: expect.stringContaining("10,485,760") });
    expect(await source.complete(lease, withFile, inline)).toBe("completed");
    const { url: path, ...rest } = asset;
    const written = { ...rest, path, data: Buffer.from("a lake").toString("base64") };
    expect(server.bodies("a")).toEqual([{ output: { assets: [written], metadata: {} } }]);
    server.give(job("b"));
    await source.complete(await takeOne(), withFile, files("https://files.example", null));
    const address = `https://files.example/${path}`;
    expect(server.bodies("b")).toEqual([{ output: { assets: [{ ...rest, path, url: address }], metadata: {} } }]);
  });

  it("streams text in its order and whole, and says with the result that it did", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    const words = ["a ", "quiet ", "lake ", "at ", "dawn"];
    for (const delta of words) source.publish(lease, { kind: "text", delta });
    await source.complete(lease, result);
    const posts = server.posts("a");
    const chunks = posts.slice(0, -1).map(({ body }) => (body as { output: string }).output);
    expect(chunks.join("")).toBe(words.join(""));
    expect(posts.slice(0, -1).every(({ url }) => url.includes("/job-stream/pod-1/a?"))).toBe(true);
    expect(posts.at(-1)?.url).toContain("&isStream=true");
  });

  it("gives a stream up with its first chunk that is not taken, and the result is whole", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    server.postAnswers.push(413);
    source.publish(lease, { kind: "text", delta: "a quiet " });
    source.publish(lease, { kind: "text", delta: "lake" });
    await source.complete(lease, result);
    expect(server.bodies("a").at(-1)).toMatchObject({ output: { text: "a quiet lake" } });
  });

  it("streams no beginning twice when the job is tried again", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    source.publish(lease, { kind: "text", delta: "a quiet " });
    await expect.poll(() => server.bodies("a")).toEqual([{ output: "a quiet " }]);
    await source.retry(lease, { error: failure, delaySeconds: 0 });
    const second = await takeOne();
    source.publish(second, { kind: "text", delta: "a quiet " });
    source.publish(second, { kind: "text", delta: "lake" });
    await source.complete(second, result);
    expect(server.bodies("a")).toEqual([
      { output: "a quiet " },
      { output: expect.objectContaining({ text: "a quiet lake" }) },
    ]);
    expect(server.posts("a").at(-1)?.url).toContain("isStream=true");
  });

  it("has no progress beside the end of a job that had none before", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a"));
    const lease = await takeOne();
    // Called when a post is on its way.
    server.postDelayMs = () => {
      source.publish(lease, { kind: "progress", progress: 1, step: 4, total: 4 });
      return 20;
    };
    await source.complete(lease, result);
    await source.close();
    expect(server.bodies("a")).toEqual([{ output: expect.objectContaining({ text: "a quiet lake" }) }]);
  });

  it("never has progress after the end of the job, however slowly each post is taken", async () => {
    const { server, source, takeOne } = await openSource();
    let seed = 7;
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    server.postDelayMs = () => Math.floor(random() * 3);
    for (let run = 0; run < 200; run++) {
      server.give(job(`job-${run}`));
      let lease = await takeOne();
      if (random() < 0.5) {
        source.publish(lease, { kind: "progress", progress: 0.1, step: 1, total: 10 });
        await source.retry(lease, { error: failure, delaySeconds: 0 });
        lease = await takeOne();
      }
      for (let step = 1; step <= 4; step++) {
        source.publish(lease, { kind: "progress", progress: step / 4, step, total: 4 });
        if (random() < 0.3) await new Promise(setImmediate);
      }
      await source.complete(lease, result);
      source.publish(lease, { kind: "progress", progress: 1, step: 4, total: 4 });
      const bodies = server.bodies(`job-${run}`);
      expect(bodies.findIndex((body) => !("status" in (body as object)))).toBe(bodies.length - 1);
    }
    expect(server.heard.filter(({ text }) => text.includes("IN_PROGRESS")).length).toBeGreaterThan(100);
  });
});
