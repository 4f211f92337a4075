import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { planJob } from "#cli/job/build-job.ts";
import { knownFields } from "#contract/check-job.ts";
import { jobFieldNames } from "#contract/decode.ts";
import { readNewJob } from "#contract/enqueue.ts";
import { CodedError } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";
import { parseExactJson } from "#contract/json.ts";
import { isJsonObject, type JsonObject, synonymsOf } from "#contract/synonyms.ts";
import { unreadFields } from "#contract/unread-fields.ts";
import { parseSubmission } from "#functions/jobs/submission.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { readInput } from "#runtime/sources/runpod/job-input.ts";
import { policy } from "../supabase/functions/queue-job/policy.ts";
import { oddObject, oddValue } from "./support/odd-json.ts";

/* Whatever is in a job, each door takes it or says in words what is wrong: no check fails of what it is given. */
const registry = await loadHandlers(fileURLToPath(new URL("../handlers", import.meta.url)));

const doors: Readonly<Record<string, (job: JsonObject, handler: Handler) => unknown>> = {
  "POST /jobs": (job, handler) => unreadFields(handler, parseSubmission(job, registry)),
  "a request of RunPod's": (input, { type }) =>
    readInput("request-1", input, { defaultType: type, handlerOf: (name) => registry.get(name) }),
  "the command": (fields, handler) => planJob({ handler, fields, files: [] }, new Map(), {}),
  async "the app's function"(given, handler) {
    const { job } = readNewJob(given);
    await policy.check({ userId: "ann", claims: {}, job });
    return unreadFields(handler, job);
  },
};

const usual = {
  job: ["a", 1],
  config: [1, "1", 64, "64*64", "euler", "https://a.example/x.png", ["https://a.example/x.png"]],
};

function oddJob({ type, input, parameters }: Handler): fc.Arbitrary<JsonObject> {
  const known = knownFields(input);
  const inConfig = [...Object.keys(parameters?.shape ?? {}), ...known.config, "expires_at", "expires_in_seconds"];
  const config = [...inConfig.flatMap(synonymsOf), "size", "resolution", "lora", "loras", "mask"];
  const metadata = [...known.metadata, "reference_image_url", "session_id", "traceparent"];
  const top = [...Object.keys(jobEnvelope.shape), ...(known.job ?? []), ...jobFieldNames, "delay_seconds", "webhook"];
  return fc
    .record({
      fields: oddObject(
        top.filter((name) => name !== "type" && name !== "config"),
        usual.job,
      ),
      prompt: fc.oneof(fc.constant("a lake"), oddValue),
      config: fc.oneof({ weight: 9, arbitrary: oddObject(config, usual.config) }, { weight: 1, arbitrary: oddValue }),
      metadata: fc.oneof(oddObject(metadata, usual.job), oddValue),
    })
    .map(({ fields, ...rest }) => ({ type, id: "job-1", ...rest, ...fields }));
}

const types = registry.all().map((handler) => [handler.type, handler] as const);

test.each(types)("%s", { timeout: 120_000 }, async (_type, handler) => {
  const property = fc.asyncProperty(oddJob(handler), async (given) => {
    for (const [door, send] of Object.entries(doors)) {
      const job = parseExactJson(JSON.stringify(given));
      if (!isJsonObject(job)) throw new Error("a job is an object");
      const refusal = await Promise.try(send, job, handler).then(
        () => null,
        (error: unknown) => error,
      );
      if (refusal !== null) expect([door, refusal]).toEqual([door, expect.any(CodedError)]);
    }
  });
  await fc.assert(property, { numRuns: 60 });
});
