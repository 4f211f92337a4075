import { expect, it } from "vitest";
import { Chance } from "#test/conformance/ends/chance.ts";
import { openSource } from "./testing/open-source.ts";

/* Whatever is in the jobs of an answer, each has an end: it is leased, with its rejection where it has one, or fails at RunPod. */

const names = [
  ...["prompt", "id", "jobId", "type", "job_type", "config", "metadata", "data", "size", "width", "seed", "priority"],
  ...["user_id", "depends_on", "expires_in_seconds", "expires_at", "created_at", "webhook_url", "model_variant"],
  ...["steps", "__proto__", "constructor", "toString", "toJSON", "length", ""],
];
const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
const plain = ["null", "true", "-1", "7", "1e308", "1e999", '""', '"a lake"', '"\\ud800"', '"lake_video"', "[]", "{}"];
const hostile = ['{"toString":1}', '[{"valueOf":1}]', deep(40), deep(4_000), deep(20_000), `"${"9".repeat(400)}"`];

function inputOf(chance: Chance, level = 0): string {
  if (level < 3 && chance.is(0.4)) return objectOf(chance, level + 1);
  if (level < 3 && chance.is(0.1)) return `[${inputOf(chance, level + 1)},${inputOf(chance, level + 1)}]`;
  return chance.of(chance.is(0.3) ? hostile : plain) ?? "null";
}

function objectOf(chance: Chance, level: number): string {
  const fields = Array.from({ length: chance.below(6) }, () => {
    return `${JSON.stringify(chance.of(names))}:${inputOf(chance, level)}`;
  });
  return `{${fields.join(",")}}`;
}

const idOf = (seed: number, index: number) => `${seed % 3 === 0 ? "\ud800 " : ""}${seed}-${index}`;

it("every job of a batch comes to be here or fails at RunPod, whatever the others of it are", async () => {
  const batchSize = 8;
  for (let seed = 1; seed <= 25; seed++) {
    const chance = new Chance(seed);
    const ids = Array.from({ length: batchSize }, (_, index) => idOf(seed, index));
    const inputs = ids.map((_, index) => (index === 3 ? '{"prompt":"a lake"}' : inputOf(chance)));
    const jobs = ids.map((id, index) => `{"id":${JSON.stringify(id)},"input":${inputs[index]}}`);
    const { server, source, taken } = await openSource({
      maxConcurrency: batchSize,
      timings: { errorPausesMs: [3_600_000] },
    });
    server.takeAnswers.push({ status: 200, type: "application/json", text: `[${jobs.join(",")}]` });
    const leases = await taken(batchSize);
    expect(source.trouble).toBeNull();
    const refused = ids.length - leases.length;
    await expect.poll(() => server.heard.filter(({ url }) => url.includes("/job-done/")).length).toBe(refused);
    expect(leases.find(({ requestId }) => requestId === ids[3])).toMatchObject({ job: { prompt: "a lake" } });
    expect(new Set(leases.map(({ requestId }) => requestId)).size).toBe(leases.length);
    for (const lease of leases) await source.fail(lease, lease.rejection ?? { code: "INTERNAL", message: "" });
    expect(server.heard.filter(({ url }) => url.includes("/job-done/"))).toHaveLength(batchSize);
  }
});

it("a job at which this container fails has that as its error, and the others of its batch go on", async () => {
  const handlerOf = (type: string) => {
    if (type === "broken") throw new TypeError("it has no schema");
    return undefined;
  };
  const { server, source, taken } = await openSource({ maxConcurrency: 3, handlerOf });
  const jobs = [{ id: "a" }, { id: "b", input: { type: "broken" } }, { id: "c" }];
  server.takeAnswers.push({ status: 200, type: "application/json", text: JSON.stringify(jobs) });
  expect((await taken(3)).map(({ requestId }) => requestId)).toEqual(["a", "c"]);
  await expect.poll(() => server.posts("b").at(-1)?.text).toContain("it has no schema");
  expect(server.posts("b")[0]?.text).toContain("INTERNAL");
  expect(source.trouble).toBeNull();
});
