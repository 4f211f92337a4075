import { afterAll, beforeAll, expect, it } from "vitest";
import { startContainer, type TestContainer } from "../testing/container.ts";

/*
 * What one caller can send costs the loop, which renews leases and answers everybody, a few milliseconds: measured in processor
 * time, which other work on the machine does not add to, and against a limit that a test can keep. `bench/doors.ts` measures
 * against the one that is to hold.
 */
const limitMs = 250;

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
  container.runtime.dispatcher.pause();
  // What is loaded and compiled at the first use is nobody's input.
  for (let more = 0; more < 3; more++) await container.call("POST", "/jobs", { body: { ...lake, config: names(50) } });
});
afterAll(() => container.stop());

const lake = { type: "gated", prompt: "a quiet lake" };
const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`name_${n}`, n]));
const zeros = (count: number) => Array.from({ length: count }, () => 0);

async function costMs(request: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await request();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

it.each<[string, number, unknown]>([
  ["500,000 names", 413, { ...lake, config: names(500_000) }],
  ["100,000 names", 413, { ...lake, config: names(100_000) }],
  ["a million zeros", 413, { ...lake, config: { list: zeros(1_000_000) } }],
  ["objects in objects", 400, `${'{"a":'.repeat(300_000)}1${"}".repeat(300_000)}`],
  ["white space", 422, `${" ".repeat(2_000_000)}{}`],
  ["one long text for a name", 422, { type: "x".repeat(2_000_000) }],
  ["one long text for a number", 422, { ...lake, priority: "9".repeat(1_000_000) }],
  ["what looks like secrets", 422, { type: '"token":"'.repeat(130_000) }],
  ["numbers that a double does not hold", 202, { ...lake, config: { list: "[N]" } }],
  ["as many names as are taken", 202, { ...lake, ...names(900), config: names(900), metadata: names(900) }],
  ["as many values as are taken", 202, { ...lake, config: { list: zeros(9_900) } }],
  ["as long a text as is taken", 202, { ...lake, config: { note: "n".repeat(1_000_000) } }],
])("a body of %s is answered %i soon", async (_what, status, sent) => {
  const text = typeof sent === "string" ? sent : JSON.stringify(sent);
  const body = text.replace('"[N]"', `[${"12345678901234567890,".repeat(9_000)}1]`);
  const cost = await costMs(async () => expect((await container.call("POST", "/jobs", { body })).status).toBe(status));
  expect(cost).toBeLessThan(limitMs);
});

it("a list of large jobs is answered a page at a time, each soon, and whole in the end", async () => {
  const body = { ...lake, config: { note: "n".repeat(900_000) } };
  for (let more = 0; more < 12; more++)
    await container.call("POST", "/jobs", { body: { ...body, id: `large-${more}` } });
  const seen: string[] = [];
  for (let query = ""; ; ) {
    let page: { jobs: { job_id: string }[]; cursor: string | null } = { jobs: [], cursor: null };
    const cost = await costMs(async () => {
      page = JSON.parse((await container.call("GET", `/jobs?limit=200${query}`)).text);
    });
    expect(cost).toBeLessThan(limitMs);
    seen.push(...page.jobs.map(({ job_id }) => job_id));
    if (page.cursor === null) break;
    query = `&cursor=${page.cursor}`;
  }
  for (let more = 0; more < 12; more++) expect(seen).toContain(`large-${more}`);
  expect(new Set(seen).size).toBe(seen.length);
});
