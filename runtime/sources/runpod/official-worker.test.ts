import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { z } from "zod";
import { openSource } from "./testing/open-source.ts";
import type { Heard } from "./testing/runpod-server.ts";

/* What our container sends beside what RunPod's official worker (runpod 1.12.0) sent in the same cases. */
const sent = z.object({
  method: z.string(),
  path: z.string(),
  query: z.record(z.string(), z.string()),
  headers: z.record(z.string(), z.string()),
  body: z.unknown(),
});
const recording = z
  .object({ gets: z.object({ take: sent }), posts: z.record(z.string(), z.array(sent)) })
  .parse(JSON.parse(await readFile(new URL("testing/official-worker.json", import.meta.url), "utf8")));

function asSent({ method, url, headers, body }: Heard, names: readonly string[]) {
  const { pathname, searchParams } = new URL(url, "http://host");
  const kept = Object.fromEntries(names.map((name) => [name, headers[name]]));
  return { method, path: pathname, query: Object.fromEntries(searchParams), headers: kept, body: body ?? null };
}

const fieldsOf = (value: unknown) => Object.keys(z.record(z.string(), z.unknown()).parse(value)).toSorted();
const errorIn = (body: unknown) => JSON.parse(z.object({ error: z.string() }).parse(body).error);

async function ran(mode: string) {
  const { server, source, takeOne } = await openSource({ gpuType: "A40" });
  server.give({ id: mode, input: { prompt: "a lake" } });
  const lease = await takeOne();
  if (mode === "raise") await source.fail(lease, { code: "HANDLER_FAILED", message: "the lake is dry" });
  if (mode === "progress") source.publish(lease, { kind: "progress", progress: 0.5, step: 1, total: 2 });
  if (mode === "stream") source.publish(lease, { kind: "text", delta: "a quiet lake" });
  const metadata = mode === "refresh" ? { refresh_worker: true } : {};
  if (mode !== "raise") await source.complete(lease, { assets: [], metadata });
  return server;
}

it("takes a job as the official worker does", async () => {
  const { take } = recording.gets;
  const [first] = (await ran("echo")).takes;
  expect(first && asSent(first, Object.keys(take.headers))).toEqual(take);
});

it.each(["echo", "raise", "progress", "refresh", "stream"])(
  "posts what comes of %s as the official worker does",
  async (mode) => {
    const official = recording.posts[mode] ?? [];
    const ours = (await ran(mode)).posts(mode).map((one) => asSent(one, Object.keys(official[0]?.headers ?? {})));
    // A stream is one chunk here, and one for each word there.
    const [wanted, found] = [official, ours].map((posts) => [posts[0], posts.at(-1)]);
    expect(official.length).toBeGreaterThan(0);
    for (const [index, post] of (found ?? []).entries()) {
      const other = wanted?.[index];
      expect({ ...post, body: null }).toEqual({ ...other, body: null });
      expect(fieldsOf(post?.body)).toEqual(fieldsOf(other?.body));
      if (mode === "raise") expect(fieldsOf(errorIn(post?.body))).toEqual(fieldsOf(errorIn(other?.body)));
    }
  },
);
