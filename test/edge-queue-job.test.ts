import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { badJobs, jobText } from "./support/bad-jobs.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

let project: TestProject;
let ann: TestUser;

beforeAll(async () => {
  project = await startProject({ env: { WEBHOOK_HOSTS: "app.example,app.example:8443" } });
  ann = await project.addUser();
}, 120_000);
afterAll(() => project.stop());
beforeEach(() => project.reset());

const lighthouse = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn", config: { num_images: 3, seed: 0 } };

function queue(body: unknown, headers: Readonly<Record<string, string>> = {}, user = ann) {
  return project.call("queue-job", { body, headers: { ...user.headers, ...headers } });
}
const jobs = () => project.database.query("select id, status, source, user_id, element from ourvidz.jobs");
const outbox = () => project.database.query("select job_id, tries, last_error from ourvidz.queue_outbox");

describe("queue-job", () => {
  test("makes a row and an element of a signed-in user's job", async () => {
    const { status, body } = await queue(lighthouse);
    expect(status).toBe(202);
    expect(body).toMatchObject({
      success: true,
      status: "queued",
      queue_position: 1,
      queue: "sdxl_queue",
      created: true,
      ignored: [],
    });
    expect(await jobs()).toMatchObject([{ id: body.job_id, status: "queued", source: "upstash", user_id: ann.id }]);
    expect(await outbox()).toEqual([]);
    const {
      leases: [lease],
    } = await project.container().take([{ worker: "sdxl", slots: 9 }]);
    expect(lease?.job).toMatchObject({ id: body.job_id, user_id: ann.id, ...lighthouse });
  });

  test("takes a moment at which the job expires, and refuses one that is over where it is no repeat", async () => {
    const at = (expires_at: string, more: object = {}) => queue({ ...lighthouse, config: { expires_at }, ...more });
    const { body } = await at("2031-01-01T01:00:00+01:00");
    expect(body).toMatchObject({ success: true, ignored: [] });
    expect(await project.database.query("select expires_at from ourvidz.jobs")).toEqual([
      { expires_at: new Date("2031-01-01T00:00:00Z") },
    ]);
    expect(await at("2026-01-01T00:00:00Z")).toMatchObject({
      status: 422,
      body: { code: "INVALID_JOB", details: [{ field: "config.expires_at" }] },
    });
    expect(await at("2026-01-01T00:00:00Z", { idempotency_key: "late" })).toMatchObject({ status: 202 });
    const container = project.container();
    const { leases } = await container.take([{ worker: "sdxl", slots: 9 }]);
    expect(leases).toMatchObject([{ jobId: body.job_id }]);
    expect((await container.take([{ worker: "sdxl", slots: 9 }])).ends).toMatchObject([
      { status: "failed", error: { code: "EXPIRED" } },
    ]);
  });

  test("says what nothing reads of a job, under the names that it uses", async () => {
    const config = { novelty: 1, strength: 0.5, expected_time: 30 };
    const { body } = await queue({
      ...lighthouse,
      promt: "x",
      webhook: "https://app.example/ended",
      config,
      metadata: { reference_strength: 0.4, album: "a" },
    });
    expect(body).toMatchObject({
      ignored: ["promt", "webhook", "config.novelty", "config.strength", "metadata.reference_strength"],
      did_you_mean: { webhook: "webhook_url" },
    });
    const { body: refusal } = await queue({ ...lighthouse, config: { mask: "ann/mask.png" } });
    expect(refusal).toMatchObject({ code: "INVALID_JOB", details: [{ field: "config.mask" }] });
  });

  test.each([
    ["https://app.example/ended", 202],
    ["https://app.example:8443/ended", 202],
    ["https://other.example/ended", 422],
    ["https://app.example.other.example/ended", 422],
    ["http:app", 422],
  ])("takes a webhook on the app's own hosts alone: %s %i", async (webhook_url, expected) => {
    const { status, body } = await queue({ ...lighthouse, webhook_url });
    expect([status, expected === 422 ? body.details : []]).toMatchObject([
      expected,
      expected === 422 ? [{ field: "webhook_url" }] : [],
    ]);
  });

  test("refuses a webhook in what an endpoint keeps of a request, on whichever host", async () => {
    for (const webhook of ["https://app.example/ended", "https://other.example/ended"]) {
      const runpod = { endpoint: "x", input: {}, rest: {}, webhook, executionTimeoutMs: 1, ttlMs: 1 };
      const { status, body } = await queue({ ...lighthouse, metadata: { runpod } });
      expect([status, body.details]).toMatchObject([422, [{ field: "metadata.runpod" }]]);
    }
    expect(await jobs()).toEqual([]);
    expect(await queue({ ...lighthouse, metadata: { runpod: null, album: "a" } })).toMatchObject({ status: 202 });
  });

  test.each([
    ["metadata", "reference_image_url"],
    ["config", "mask_image_url"],
    ["config", "control_image_url"],
  ])("refuses in %s.%s what is no address of a server, and leaves hosts to the containers", async (place, name) => {
    for (const address of ["@/etc/passwd", "file:///etc/passwd", "https://ann:secret@files.example/a.png"]) {
      const { status, body } = await queue({ ...lighthouse, [place]: { [name]: address } });
      expect([status, body.details]).toEqual([
        422,
        expect.arrayContaining([expect.objectContaining({ field: `${place}.${name}` })]),
      ]);
    }
  });

  test("makes one job of two requests with one idempotency key, given in the header or in the body", async () => {
    const first = await queue({ ...lighthouse, idempotency_key: "order-1" });
    const second = await queue(lighthouse, { "Idempotency-Key": "order-1" });
    expect(second.body).toMatchObject({ job_id: first.body.job_id, created: false });
    expect(await project.gateway.client().llen("sdxl_queue")).toBe(1);
    const other = await queue({ ...lighthouse, prompt: "a harbour" }, { "Idempotency-Key": "order-1" });
    expect([other.status, other.body.code]).toEqual([409, "IDEMPOTENCY_CONFLICT"]);
    const both = await queue({ ...lighthouse, idempotency_key: "a" }, { "Idempotency-Key": "b" });
    expect([both.status, both.body.code]).toEqual([400, "INVALID_REQUEST"]);
  });

  test.each(["drop", "lose"] as const)("bears a database whose answer is lost (%s)", async (fault) => {
    project.faults.door = (path) => {
      if (!path.endsWith("/enqueue_job")) return undefined;
      project.faults.door = undefined;
      return fault;
    };
    expect(await queue(lighthouse)).toMatchObject({ status: 202, body: { created: true } });
    expect(await jobs()).toHaveLength(1);
    expect(await project.gateway.client().llen("sdxl_queue")).toBe(1);
  });

  test("says when the database is away", async () => {
    project.faults.door = () => "drop";
    expect(await queue(lighthouse)).toMatchObject({ status: 503, body: { code: "DATABASE_UNREACHABLE" } });
    project.faults.door = () => ({
      status: 404,
      body: { code: "PGRST202", message: "none", details: null, hint: null },
    });
    const { status, body } = await queue(lighthouse);
    expect([status, body.code]).toEqual([500, "CONFIG_INVALID"]);
    expect(body.error).not.toContain("migrations");
    expect(await project.functions.logged((line) => line.includes("push the migrations"))).toContain("enqueue_job");
  });

  test("names every bad field and changes nothing", async () => {
    const bad = {
      ...lighthouse,
      delay_seconds: 5,
      prompt: " ",
      id: "no uuid",
      priority: 1000,
      config: { num_images: 2, width: 512 },
    };
    const { status, body } = await queue(bad);
    expect([status, body.code, body.success]).toEqual([422, "INVALID_JOB", false]);
    for (const field of ["prompt", "delay_seconds", "id", "priority", "config.num_images", "config.height"]) {
      expect(body.error).toContain(`${field} is`);
    }
    expect(await jobs()).toEqual([]);
  });

  test.each(badJobs)("refuses as every door does: %s", async (part, field, message) => {
    const { status, body } = await queue(jobText(part));
    expect([status, body.code]).toEqual([422, "INVALID_JOB"]);
    expect(body.error).toMatch(new RegExp(`${RegExp.escape(field)} is .*: ${RegExp.escape(message)}`));
    expect(await jobs()).toEqual([]);
  });

  test.each([{ prompt: "a lake\0" }, { metadata: { note: "\ud83e" } }, { config: { "a\0": 1 } }])(
    "refuses a text that the database cannot keep: %j",
    async (fields) => {
      const { status, body } = await queue({ ...lighthouse, ...fields });
      expect([status, body]).toMatchObject([400, { code: "INVALID_REQUEST", error: expect.stringContaining("NUL") }]);
    },
  );

  test("refuses unknown job types with those that are known, and takes the app's own", async () => {
    const unknown = await queue({ type: "portrait", prompt: "a harbour" });
    expect([unknown.status, unknown.body.code]).toEqual([422, "UNKNOWN_JOB_TYPE"]);
    expect(unknown.body.error).toContain("sdxl_image_fast");
    await project.database.query(
      "insert into ourvidz.job_types (type, worker, content_type, file_extension, bucket) values ('portrait', 'media', 'image', 'png', 'portrait')",
    );
    expect((await queue({ type: "portrait", prompt: "a harbour" })).body).toMatchObject({ queue: "media_queue" });
    expect(await project.gateway.client().llen("media_queue")).toBe(1);
  });

  test("takes old names, and nobody else's user id", async () => {
    const old = { jobType: "wan_video_fast", prompt: "a harbour", userId: ann.id };
    expect((await queue(old)).body).toMatchObject({ queue: "wan_queue" });
    const bob = await project.addUser();
    const theirs = await queue({ ...lighthouse, user_id: bob.id });
    expect([theirs.status, theirs.body.code]).toEqual([403, "FORBIDDEN"]);
  });

  test("holds each user to the limits of the policy", async () => {
    const answers = [];
    for (let made = 0; made < 20; made += 1) answers.push((await queue(lighthouse)).status);
    expect(new Set(answers)).toEqual(new Set([202]));
    const { status, body } = await queue(lighthouse);
    expect([status, body.code]).toEqual([429, "TOO_MANY_JOBS"]);
    expect((await queue(lighthouse, {}, await project.addUser())).status).toBe(202);
    await project.database.query("update ourvidz.jobs set status = 'running', created_at = now()");
    const twenty = await Promise.all(Array.from({ length: 12 }, () => queue(lighthouse)));
    expect(twenty.filter((answer) => answer.status === 202)).toHaveLength(10);
    expect(twenty.find((answer) => answer.status === 429)?.body).toMatchObject({ code: "TOO_MANY_JOBS" });
  });

  test("asks the policy", async () => {
    const { status, body } = await queue({ ...lighthouse, bucket: "avatars" });
    expect([status, body.code, body.details]).toEqual([403, "POLICY_REFUSED", { rule: "bucket" }]);
  });

  test.each<[string, unknown, Readonly<Record<string, string>>, number, string]>([
    ["a list", [], {}, 400, "INVALID_REQUEST"],
    ["no JSON", "{", {}, 400, "INVALID_REQUEST"],
    ["no text", new Uint8Array([0xff, 0xfe]), {}, 400, "INVALID_REQUEST"],
    ["a form", "a=b", { "Content-Type": "application/x-www-form-urlencoded" }, 415, "UNSUPPORTED_MEDIA_TYPE"],
    [
      "60,000 names",
      {
        type: "chat",
        prompt: "x",
        metadata: Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`k${n}`, 0])),
      },
      {},
      413,
      "BODY_TOO_LARGE",
    ],
    [
      "20,000 values",
      { type: "chat", prompt: "x", metadata: { list: Array(20_000).fill(0) } },
      {},
      413,
      "BODY_TOO_LARGE",
    ],
    ["two megabytes", { type: "chat", prompt: "x".repeat(2_000_000) }, {}, 413, "BODY_TOO_LARGE"],
    ["a key that poisons", '{"type": "chat", "__proto__": {"a": 1}}', {}, 400, "INVALID_REQUEST"],
    ["a tower of lists", `${"[".repeat(100)}${"]".repeat(100)}`, {}, 400, "INVALID_REQUEST"],
    ["nothing", "", {}, 400, "INVALID_REQUEST"],
  ])("refuses %s", async (_what, sent, headers, status, code) => {
    const answer = await queue(sent, headers);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(Object.keys(answer.body)).toEqual(["success", "error", "code"]);
  });

  test("answers a browser's question first, and other methods with what is allowed", async () => {
    const preflight = await project.call("queue-job", {
      method: "OPTIONS",
      headers: { origin: "https://app.example" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
    expect(preflight.headers.get("access-control-allow-headers")).toContain("idempotency-key");
    const got = await project.call("queue-job", { headers: ann.headers });
    expect([got.status, got.body.code, got.headers.get("allow")]).toEqual([405, "METHOD_NOT_ALLOWED", "POST, OPTIONS"]);
    expect(got.headers.get("access-control-allow-origin")).toBe("*");
    expect(got.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe("the outbox", () => {
  test("keeps a job while the queue is away, and the next call of anybody pushes it", async () => {
    project.faults.queue = () => ({ kind: "drop", at: "before" });
    const { status, body } = await queue(lighthouse);
    expect([status, body.status]).toEqual([202, "queued"]);
    expect(await outbox()).toMatchObject([{ job_id: body.job_id, tries: 1 }]);
    project.faults.queue = undefined;
    await project.ageOutbox();
    const bob = await project.addUser();
    await project.call("job-status", { query: `?job_id=${body.job_id}`, headers: bob.headers });
    await project.call("job-status", { query: `?job_id=${body.job_id}`, headers: ann.headers });
    await untilEmpty();
    expect(await project.container().take([{ worker: "sdxl", slots: 9 }])).toMatchObject({
      leases: [{ jobId: body.job_id }],
    });
  });

  test("is swept by every call, within Supabase's waitUntil", { timeout: 90_000 }, async () => {
    project.faults.queue = () => ({ kind: "drop", at: "before" });
    const jobIds = [];
    for (let made = 0; made < 12; made += 1) jobIds.push((await queue(lighthouse)).body.job_id);
    project.faults.queue = undefined;
    await project.ageOutbox();
    await queue(lighthouse);
    await untilEmpty();
    const { leases } = await project.container().take([{ worker: "sdxl", slots: 99 }]);
    expect(leases.map(({ jobId }) => jobId)).toEqual(expect.arrayContaining(jobIds));
    expect(leases).toHaveLength(13);
    await project.functions.logged((line) => line.startsWith('{"kept":'));
  });
});

test("neither keys nor prompts are in the log", () => {
  const { anonKey, serviceKey } = project.door;
  const text = project.functions.logs.join("\n");
  expect(text).toContain('"function":"queue-job"');
  const secrets = [
    anonKey,
    serviceKey,
    ann.token,
    project.gateway.token,
    project.callbackSecret,
    "lighthouse",
    "harbour",
  ];
  expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
});

async function untilEmpty(): Promise<void> {
  while ((await outbox()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
}
