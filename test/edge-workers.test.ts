import { createServer, type RequestListener, type Server } from "node:http";
import { json } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { startProject, type TestProject, type TestUser, workerKey } from "./support/supabase/project.ts";

let project: TestProject;
let ann: TestUser;
let container: TestContainer;
let address: string;
const servers: Server[] = [];

beforeAll(async () => {
  // A host on loopback is allowed by its name alone; one with another port is refused.
  project = await startProject({ env: { WORKER_HOSTS_ALLOWED: "127.0.0.1" } });
  ann = await project.addUser();
  container = await startContainer();
  address = (await container.listen()).url;
}, 120_000);
afterAll(async () => {
  for (const server of servers) server.close().closeAllConnections();
  await container.stop();
  await project.stop();
});
beforeEach(async () => {
  await project.reset();
  await project.database.query("delete from ourvidz.workers");
});

const service = () => ({ Authorization: `Bearer ${project.door.serviceKey}` });
const registration = (fields: Readonly<Record<string, unknown>> = {}) => ({
  worker_url: address,
  worker_id: "pod-1",
  auto_registered: true,
  registration_method: "self",
  detection_method: "RUNPOD_POD_ID",
  timestamp: new Date().toISOString(),
  status: "active",
  capabilities: ["sdxl_image_fast"],
  version: "0.1.0",
  ...fields,
});
const register = (fields?: Readonly<Record<string, unknown>>, name = "update-worker-url") =>
  project.call(name, { body: registration(fields), headers: service() });
const find = (capability?: string, headers: Readonly<Record<string, string>> = service()) =>
  project.call("get-active-worker-url", {
    query: capability === undefined ? "" : `?capability=${capability}`,
    headers,
  });

/** A server on loopback that is no container of ours. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = server.address();
  return `http://127.0.0.1:${typeof at === "object" && at !== null ? at.port : 0}`;
}

describe("registration", () => {
  test("of a container that answers makes it known, by what it can do", async () => {
    expect(await register()).toMatchObject({
      status: 200,
      body: { worker_id: "pod-1", status: "active", worker_url: address },
    });
    const found = await find("sdxl_image_fast");
    expect(found).toMatchObject({ status: 200, body: { worker_url: address, worker_id: "pod-1", version: "0.1.0" } });
    expect((await find()).body).toMatchObject({ worker_url: address });
    expect(await find("video_fast")).toMatchObject({ status: 503, body: { code: "NO_ACTIVE_WORKER" } });
  });

  test("that is not renewed within two minutes is forgotten, and renewed it counts again", async () => {
    await register();
    await project.database.query("update ourvidz.workers set last_seen_at = last_seen_at - interval '121 seconds'");
    expect((await find()).status).toBe(503);
    await register();
    expect((await find()).status).toBe(200);
  });

  test("ends when the container stops, which is not asked for its health any more", async () => {
    await register();
    const stopped = { status: "stopped", worker_url: "http://127.0.0.1:9" };
    expect(await register(stopped)).toMatchObject({ status: 200, body: { status: "stopped", health: null } });
    expect((await find()).status).toBe(503);
  });

  test("under the older name says what chat containers can do", async () => {
    await register({ capabilities: [] }, "register-chat-worker");
    expect(await find("enhance_instruct")).toMatchObject({ status: 200, body: { worker_id: "pod-1" } });
  });

  test("pushes what waits in the outbox", async () => {
    project.faults.queue = () => ({ kind: "drop", at: "before" });
    const body = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn" };
    await project.call("queue-job", { body, headers: ann.headers });
    project.faults.queue = undefined;
    await project.ageOutbox();
    await register();
    while ((await project.gateway.client().llen("sdxl_queue")) === 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
  });

  test.each<[string, (url: string) => string, number, string, string]>([
    ["nobody listens", () => "http://127.0.0.1:9", 502, "WORKER_UNREACHABLE", "cannot be reached"],
    ["http off the allowed hosts", () => "http://pod.example", 400, "INVALID_REQUEST", "https"],
    ["a private address", () => "https://192.168.1.7:7860", 400, "INVALID_REQUEST", "private host"],
    ["the metadata address", () => "https://169.254.169.254", 400, "INVALID_REQUEST", "private host"],
    ["that address as a number", () => "https://2852039166", 400, "INVALID_REQUEST", "private host"],
    ["loopback in v6", () => "https://[::1]:7860", 400, "INVALID_REQUEST", "private host"],
    ["localhost", () => "https://localhost", 400, "INVALID_REQUEST", "private host"],
    ["a private name that ends with a dot", () => "https://pod.internal.", 400, "INVALID_REQUEST", "private host"],
    ["credentials", (url) => url.replace("//", "//user:pass@"), 400, "INVALID_REQUEST", "credentials"],
    ["a query", (url) => `${url}?token=abc`, 400, "INVALID_REQUEST", "query"],
    ["another scheme", () => "file:///etc/passwd", 400, "INVALID_REQUEST", "worker_url"],
  ])("is refused for %s", async (_what, url, status, code, words) => {
    const answer = await register({ worker_url: url(address) });
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.body.error).toContain(words);
    expect(await project.database.query("select 1 from ourvidz.workers")).toEqual([]);
  });

  test.each<[string, RequestListener]>([
    ["a page", (_, response) => response.end("<html>")],
    ["a redirect", (_, response) => response.writeHead(302, { location: `${address}/health` }).end()],
    ["an error", (_, response) => response.writeHead(500).end('{"status":"healthy"}')],
    ["another JSON", (_, response) => response.end('{"ok":true}')],
    ["two megabytes", (_, response) => response.end(`{"status":"healthy","x":"${"x".repeat(2_000_000)}"}`)],
  ])("is refused when %s answers", async (_what, listener) => {
    const answer = await register({ worker_url: await serve(listener) });
    expect([answer.status, answer.body.code]).toEqual([502, "WORKER_UNREACHABLE"]);
  });

  test("names every bad field", async () => {
    const { status, body } = await register({ worker_id: "", status: "asleep", capabilities: "all" });
    expect([status, body.code]).toEqual([400, "INVALID_REQUEST"]);
    for (const field of ["worker_id", "status", "capabilities"]) expect(body.error).toContain(`${field} is`);
  });
});

describe("get-active-worker-url", () => {
  test("tells users that there is a container, and not where", async () => {
    await register();
    const { status, body } = await find("sdxl_image_fast", ann.headers);
    expect(status).toBe(200);
    expect(Object.keys(body).toSorted()).toEqual(["capabilities", "last_seen_at", "success"]);
    expect(await find("../x", ann.headers)).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
  });

  test("takes a body, or none", async () => {
    await register();
    const headers = service();
    const body = { capability: "sdxl_image_fast" };
    expect((await project.call("get-active-worker-url", { body, headers })).body).toMatchObject({
      worker_url: address,
    });
    expect((await project.call("get-active-worker-url", { method: "POST", headers })).status).toBe(200);
  });
});

describe("enhance-prompt", () => {
  const prompt = "a lighthouse";
  const enhance = (body: unknown = { prompt }) => project.call("enhance-prompt", { body, headers: ann.headers });

  /** The container's /enhance as its documentation says: with its key only, and the shape of its answer. */
  async function languageModel(answer: Readonly<Record<string, unknown>>, status = 200): Promise<unknown[]> {
    const received: unknown[] = [];
    const url = await serve(async (request, response) => {
      response.setHeader("content-type", "application/json");
      if (request.url === "/health") return void response.end('{"status":"healthy"}');
      if (request.headers.authorization !== `Bearer ${workerKey}`) return void response.writeHead(401).end("{}");
      received.push(await json(request));
      response.writeHead(status).end(JSON.stringify(answer));
    });
    await register({ worker_url: url, capabilities: ["enhance_base", "enhance_instruct"] });
    return received;
  }
  const written = "a lighthouse on a cliff at dawn, long shadows";

  test("has the prompt written out by a container", async () => {
    const answer = {
      success: true,
      enhanced_prompt: written,
      original_prompt: prompt,
      enhancement_source: "qwen_instruct",
    };
    const received = await languageModel({ ...answer, processing_time: 1.5, model: "qwen_instruct" });
    const { status, body } = await enhance({ prompt, model: "qwen_instruct", enhance_type: "natural_language" });
    expect([status, body]).toEqual([200, { ...answer, processing_time: 1.5, model: "qwen_instruct" }]);
    const user_id = ann.id;
    expect(received).toMatchObject([{ prompt, user_id, model: "qwen_instruct", enhance_type: "natural_language" }]);
  });

  test("goes on with the user's own conversation, and with nobody else's", async () => {
    const turns = { session_turns: 2, session_turns_dropped: 0, session_turn_cut: false };
    const received = await languageModel({ success: true, enhanced_prompt: written, ...turns });
    const inSession = { prompt, enhance_type: "chat", metadata: { session_id: "lakes" } };
    expect(await enhance(inSession)).toMatchObject({ status: 200, body: turns });
    expect((await enhance({ ...inSession, user_id: ann.id })).status).toBe(200);
    const refused = await enhance({ ...inSession, user_id: (await project.addUser()).id });
    expect([refused.status, refused.body.code]).toEqual([403, "FORBIDDEN"]);
    const asked = { ...inSession, user_id: ann.id };
    expect(received).toMatchObject([asked, asked]);
  });

  test("falls back to the original prompt, whatever fails", async () => {
    const fallback = {
      success: false,
      enhanced_prompt: prompt,
      original_prompt: prompt,
      enhancement_source: "original",
    };
    expect(await enhance()).toMatchObject({ status: 200, body: { ...fallback, code: "NO_ACTIVE_WORKER" } });
    await languageModel({ success: false, error: "no model", enhanced_prompt: prompt });
    expect(await enhance()).toMatchObject({ status: 200, body: { ...fallback, code: "WORKER_UNREACHABLE" } });
    await languageModel({}, 503);
    expect(await enhance()).toMatchObject({ status: 200, body: fallback });
  });

  test("is for each user so many times a minute", async () => {
    const bob = await project.addUser();
    const enhanceAsBob = () => project.call("enhance-prompt", { body: { prompt }, headers: bob.headers });
    // A new minute may begin in between, once.
    const answers = await Promise.all(Array.from({ length: 41 }, enhanceAsBob));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]).toMatchObject({ body: { code: "TOO_MANY_REQUESTS", success: false } });
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(20);
    expect((await enhance()).status).toBe(200);
    const read = await fetch(`${project.door.url}/rest/v1/request_rates?select=asked`, { headers: bob.headers });
    expect(read.status).toBe(404);
  });

  test("refuses what is no prompt", async () => {
    const { status, body } = await enhance({ prompt: " ", temperature: 9 });
    expect([status, body.code]).toEqual([422, "INVALID_JOB"]);
    for (const field of ["prompt", "temperature"]) expect(body.error).toContain(`${field} is`);
  });
});

test("the log has no key and no prompt", () => {
  const text = project.functions.logs.join("\n");
  const secrets = [project.door.serviceKey, workerKey, ann.token, "lighthouse", "user:pass"];
  expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
});
