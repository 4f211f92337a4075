import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { describeJob, planJob } from "#cli/job/build-job.ts";
import { addJobOptions, type JobOptions } from "#cli/job/options.ts";
import { readNewJob } from "#contract/enqueue.ts";
import { toErrorReport } from "#contract/errors.ts";
import { parseExactJson } from "#contract/json.ts";
import { schemaOf } from "#contract/schemas.ts";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { badJobs, jobText } from "./support/bad-jobs.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";

/*
 * A bad job is refused where it comes in, whichever door that is, with the same field named in the same words: nothing is
 * accepted that fails later for what could be seen at once. The door of the app's edge function is tested beside it.
 */
const folderOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const handlers = folderOf("./support/door-handlers");

let gateway: TestGateway;
let container: TestContainer;
beforeAll(async () => {
  gateway = await startTestGateway();
  container = await startContainer({
    HANDLERS_DIR: handlers,
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
  });
}, 60_000);
afterAll(async () => {
  await container.stop();
  await gateway.close();
});

const refusal = z.object({
  code: z.literal("INVALID_JOB"),
  details: z.array(z.object({ field: z.string(), message: z.string() })),
});

/** What each door says of a job with this part. */
const doors: Readonly<Record<string, (part: string) => Promise<unknown>>> = {
  "POST /jobs": (part) => answer("/jobs", part),
  "POST /generate": (part) => answer("/generate", part),
  "a producer": async (part) => {
    const { problems } = readNewJob({ id: "job-1", type: "", ...asObject(jobText(part)) });
    return { code: "INVALID_JOB", details: problems };
  },
  "the command": async (part) => {
    const { config, metadata, model_variant } = asObject(part);
    const given = Object.entries({ config, metadata }).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, /:(\{.*\})\}/.exec(part)?.[1] ?? ""],
    );
    if (model_variant !== undefined) given.push("--model", String(model_variant));
    const options = addJobOptions(new Command()).parse(given, { from: "user" }).opts<JobOptions>();
    const registry = await loadHandlers(handlers);
    try {
      return planJob(await describeJob(registry, ["sdxl_image_fast", "a lighthouse"], options), new Map(), options);
    } catch (error) {
      return toErrorReport(error);
    }
  },
  "a list of Redis": async (part) => {
    const id = randomUUID();
    await gateway.client().lpush("sdxl_queue", jobText(part, { id }));
    await gateway.client().publish("ourvidz:events", "jobs");
    return failure(id);
  },
  "the executor": async (part) => {
    const inner = jobText(part);
    const id = randomUUID();
    const outer = `{"id":"${id}","type":"inside","config":{"job":${inner}}}`;
    const { status, json } = await container.call("POST", "/jobs", { body: outer });
    expect([status, json]).toMatchObject([202, {}]);
    return failure(id);
  },
  "a handler that enqueues it": async (part) => {
    const id = randomUUID();
    const outer = `{"id":"${id}","type":"beside","config":{"job":${jobText(part)}}}`;
    const { status, json } = await container.call("POST", "/jobs", { body: outer });
    expect([status, json]).toMatchObject([202, {}]);
    return failure(id);
  },
};

async function answer(path: string, part: string): Promise<unknown> {
  const { status, json } = await container.call("POST", path, { body: jobText(part) });
  expect(status).toBe(422);
  return json;
}

/** The error of a job that was on a queue: it failed at its first attempt. */
async function failure(id: string): Promise<unknown> {
  const read = () => container.runtime.queue.get(id);
  await expect.poll(async () => (await read())?.status, { timeout: 30_000 }).toBe("failed");
  const record = await read();
  expect(record).toMatchObject({ attempt: 1 });
  return record?.error;
}

function asObject(text: string): Record<string, unknown> {
  return z.record(z.string(), z.unknown()).parse(parseExactJson(text));
}

describe.each(Object.entries(doors))("%s", (_door, send) => {
  test.each(badJobs)("%s", async (part, field, message) => {
    const { details } = refusal.parse(await send(part));
    const named = details.find((problem) => problem.field === field);
    expect(named?.message, JSON.stringify(details)).toMatch(new RegExp(`^${RegExp.escape(message)}`));
  });
});

// The command and a handler's own jobs have no priority of their own to say.
test.each(["POST /jobs", "POST /generate", "a producer", "a list of Redis"])(
  "%s: a priority that no queue has",
  async (door) => {
    const { details } = refusal.parse(await doors[door]?.('{"priority":1e9}'));
    expect(details).toEqual([
      { field: "priority", message: expect.stringMatching(/^must be a whole number from -100 to 100/) },
    ]);
  },
);

test.each(["POST /jobs", "POST /generate", "a producer", "the command", "a list of Redis"])(
  "%s: what an endpoint alone may write",
  async (door) => {
    const { details } = refusal.parse(
      await doors[door]?.('{"metadata":{"runpod":{"webhook":"https://other.example/"}}}'),
    );
    expect(details).toEqual([{ field: "metadata.runpod", message: expect.stringMatching(/^must be left out: /) }]);
  },
);

describe("a job of more values than any has", () => {
  const job = {
    type: "sdxl_image_fast",
    prompt: "a lighthouse",
    metadata: { list: Array.from({ length: 20_000 }, () => 0) },
  };

  test.each(["/jobs", "/generate"])("is refused at %s", async (path) => {
    const { status, json } = await container.call("POST", path, { body: job });
    expect([status, json]).toMatchObject([413, { code: "BODY_TOO_LARGE" }]);
  });

  test("is refused to a producer", () => {
    expect(() => readNewJob({ id: "job-1", ...job })).toThrow(/more than 10,000 values/);
  });

  test("goes to the dead letters when it is pushed to a list of Redis all the same", async () => {
    const id = randomUUID();
    await gateway.client().lpush("sdxl_queue", JSON.stringify({ id, ...job }));
    await gateway.client().publish("ourvidz:events", "jobs");
    const dead = async () =>
      z
        .object({ undecodable: z.array(z.object({ reason: z.string(), element: z.string() })) })
        .parse((await container.call("GET", "/queues/sdxl_queue/dead")).json)
        .undecodable.find(({ element }) => element.includes(id))?.reason;
    await expect.poll(dead, { timeout: 30_000 }).toMatch(/more than 10,000 values/);
    expect(await container.runtime.queue.get(id)).toBeNull();
  });
});

describe("what does no harm is taken, and listed as ignored", () => {
  const config = { denoise_strength: 0.5, pipeline: "txt2img", novelty: 1, expected_time: 30, steps: 1, size: "64*64" };
  const metadata = { reference_strength: 0.4, album: "summer" };
  const job = { type: "sdxl_image_fast", prompt: "a red apple", config, metadata };

  test("at the door, and in the result", async () => {
    const { status, json } = await container.call("POST", "/generate", { body: { ...job, promt: "x" } });
    expect([status, json]).toMatchObject([
      200,
      {
        result_metadata: { ignored: ["novelty", "denoise_strength", "metadata.reference_strength"] },
        ignored: ["promt", "config.novelty", "config.denoise_strength", "metadata.reference_strength"],
      },
    ]);
    expect(json).not.toHaveProperty("did_you_mean");
    expect((await container.call("POST", "/jobs", { body: { ...job, promt: "x" } })).json).toMatchObject({
      ignored: ["promt", "config.novelty", "config.denoise_strength", "metadata.reference_strength"],
    });
  });

  test("by name for the first hundred, and the others by their number", async () => {
    const many = Object.fromEntries(Array.from({ length: 130 }, (_, at) => [`novelty_${at}`, at]));
    const body = { ...job, config: { ...many, ...config }, metadata };
    const { json } = await container.call("POST", "/generate", { body });
    const names = Object.keys(many).slice(0, 100);
    expect(json).toMatchObject({
      result_metadata: { ignored: names, ignored_more: 33 },
      ignored: names.map((name) => `config.${name}`),
      ignored_more: 33,
    });
  });
});

test("each type that ships is checked everywhere by what its handler declares", async () => {
  const registry = await loadHandlers(folderOf("../handlers"));
  for (const { type, input, parameters, defaults = {}, defaultsFor, unusedFields } of registry.all()) {
    const schema = { input, parameters, defaults, defaultsFor, unusedFields };
    expect({ type, schema }).toEqual({ type, schema: schemaOf(type) });
  }
});

test("the bundled model draws another picture in fast than in high", async () => {
  const used = async (type: string) => {
    const body = { type, prompt: "a red apple", config: { seed: 7 } };
    const { json } = await container.call("POST", "/generate", { body });
    return z.object({ result_metadata: z.looseObject({ parameters: z.looseObject({}) }) }).parse(json).result_metadata;
  };
  const [fast, high] = [await used("sdxl_image_fast"), await used("sdxl_image_high")];
  expect(fast.parameters).toMatchObject({ num_inference_steps: 15, guidance_scale: 2 });
  expect(high.parameters).toMatchObject({ num_inference_steps: 25, guidance_scale: 2.5 });
  expect(high.parameter_tiers).toMatchObject({ num_inference_steps: "model", guidance_scale: "model", width: "model" });
});
