import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { signCallback } from "#contract/signature.ts";
import { oddObject, oddValue } from "./support/odd-json.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/* Whatever JSON comes to an edge function, it is taken or refused in words: it never fails of that. */
let project: TestProject;
let ann: TestUser;

beforeAll(async () => {
  project = await startProject();
  ann = await project.addUser();
}, 120_000);
afterAll(() => project.stop());
beforeEach(anew);

/** One job alone waits: a user may have so many. */
async function anew(): Promise<void> {
  await project.reset();
  await project.call("queue-job", { body: { ...lake, id }, headers: ann.headers });
}

const id = "0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111";
const user = () => ann.headers;
const service = () => ({ Authorization: `Bearer ${project.door.serviceKey}` });

interface Door {
  readonly by: () => Readonly<Record<string, string>>;
  /** What it takes. */
  readonly good: Readonly<Record<string, unknown>>;
  /** Further names that it knows. */
  readonly names?: readonly string[];
  readonly usual?: readonly unknown[];
}

const lake = { type: "sdxl_image_fast", prompt: "a quiet lake" };
const jobNames = ["id", "jobType", "user_id", "created_at", "priority", "model_variant", "bucket", "webhook_url"];
const queueing = ["idempotency_key", "depends_on", "delay_seconds", "run", "data", "traceparent", "config", "metadata"];
const callbackNames = ["run", "attempt", "error_message", "text", "enhanced_prompt", "progress", "user_id", "job_type"];
const registered = ["worker_type", "timestamp", "version", "job_types", "types", "heartbeat", "auto_registered"];

const doors: Readonly<Record<string, Door>> = {
  "queue-job": { by: user, good: lake, names: [...jobNames, ...queueing], usual: [1, "lake", [id]] },
  "cancel-job": { by: user, good: { job_id: id } },
  "delete-job": { by: user, good: { job_id: id } },
  "create-upload": { by: user, good: { content_type: "image/png", size_bytes: 9, sha256: "a".repeat(64) } },
  "enhance-prompt": {
    by: user,
    good: { prompt: "a quiet lake", metadata: {} },
    names: ["model", "user_id", "messages"],
  },
  "job-callback": {
    by: service,
    good: { job_id: id, status: "processing", assets: [], metadata: {} },
    names: callbackNames,
    usual: [1, "chat", 0.5, "completed", [{ url: "0.png", index: 0, type: "image" }]],
  },
  "update-worker-url": { by: service, good: { worker_url: "https://a.example", worker_id: "a" }, names: registered },
};

test.each(Object.entries(doors))("%s", { timeout: 120_000 }, async (name, { by, good, names = [], usual }) => {
  const changed = oddObject([...Object.keys(good), ...names], usual).map((odd) => ({ ...good, ...odd }));
  const inside = oddObject(["job_type", "content_type", "seed", "scheduler", "session_id", "expires_at"], usual);
  const nested = fc.tuple(changed, inside).map(([body, odd]) => ({ ...body, config: odd, metadata: odd }));
  const property = fc.asyncProperty(fc.oneof(oddValue, changed, nested), async (given) => {
    const body = new TextEncoder().encode(JSON.stringify(given));
    const signed = name === "job-callback" ? await signCallback(project.callbackSecret, body) : {};
    const { status, body: answer } = await project.call(name, { body, headers: { ...by(), ...signed } });
    if (status === 429) await anew();
    const isForeseen = status !== 500 || answer.code === "NO_ASSETS";
    expect(isForeseen, `${JSON.stringify(answer)} to ${JSON.stringify(given)}`).toBe(true);
  });
  await fc.assert(property, { numRuns: 150 });
});
