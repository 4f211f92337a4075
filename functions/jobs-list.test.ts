import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { listJobs } from "./api/jobs-list.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

const page = z.object({ jobs: z.array(z.object({ job_id: z.string() })), cursor: z.string().nullable() });

let container: TestContainer;
let ids: string[];
beforeAll(async () => {
  container = await startContainer();
  container.runtime.dispatcher.pause();
  ids = [];
  for (const user_id of ["ann", "bob", "ann", "bob", "ann"]) {
    ids.unshift(await container.runtime.submit("gated", {}, { user_id }));
  }
  await container.runtime.queue.cancel(ids[0] ?? "");
});
afterAll(() => container.stop());

const list = async (query: string) => {
  const { status, json } = await container.call("GET", `/jobs${query}`);
  expect(status).toBe(200);
  expect(listJobs.responses[200]?.parse(json)).toEqual(json);
  const { jobs, cursor } = page.parse(json);
  return { ids: jobs.map(({ job_id }) => job_id), cursor };
};

it("lists the newest first", async () => {
  expect(await list("")).toEqual({ ids, cursor: null });
});

it.each([
  ["?user_id=ann", [0, 2, 4]],
  ["?status=cancelled", [0]],
  ["?status=queued&user_id=ann", [2, 4]],
  ["?type=gated&limit=2", [0, 1]],
  ["?type=other", []],
])("filters: %s", async (query, expected) => {
  expect((await list(query)).ids).toEqual(expected.map((index) => ids[index]));
});

it("goes on from page to page until the last", async () => {
  const found: string[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const next: Awaited<ReturnType<typeof list>> = await list(`?limit=2${cursor && `&cursor=${cursor}`}`);
    found.push(...next.ids);
    cursor = next.cursor;
  }
  expect(found).toEqual(ids);
});

describe("what is wrong is reported", () => {
  it.each([
    "?limit=0",
    "?limit=201",
    "?limit=1.5",
    "?limit=many",
    "?limit=",
    "?status=done",
    "?user=ann",
    "?status=queued&status=failed",
    "?cursor=abc",
    "?cursor=-1",
    "?cursor=1%20OR%201=1",
    "?cursor=",
    "?__proto__=1",
  ])("%s", async (query) => {
    expect(await container.call("GET", `/jobs${query}`)).toMatchObject({
      status: 400,
      json: { success: false, code: "INVALID_REQUEST" },
    });
  });

  it("with every parameter that is wrong", async () => {
    const { json } = await container.call("GET", "/jobs?limit=0&status=done&user=ann");
    expect(json).toMatchObject({ details: [{ field: "status" }, { field: "limit" }, { field: "query" }] });
  });
});
