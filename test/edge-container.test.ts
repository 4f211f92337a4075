import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { jobCallback } from "#contract/callback.ts";
import { defineHandler, z } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { HttpCallback } from "#runtime/delivery/callbacks/http-callback.ts";
import { EdgeRegistrar } from "#runtime/heartbeat/edge-registrar.ts";
import { ownTypes } from "#runtime/heartbeat/own-types.ts";
import { describeRegistrar } from "./conformance/registrars.ts";
import { callbackSecret, startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/* The container's own ends of the wire, against the real edge functions: that both sides mean the same. */
let project: TestProject;
let container: TestContainer;
let address: string;
let ann: TestUser;
const { signal } = new AbortController();

beforeAll(async () => {
  project = await startProject({ newKeys: true, env: { WORKER_HOSTS_ALLOWED: "127.0.0.1" } });
  ann = await project.addUser();
  container = await startContainer();
  address = (await container.listen()).url;
}, 120_000);
afterAll(async () => {
  await container.stop();
  await project.stop();
});

const projectOf = (serviceKey = project.door.secretKey) => ({ url: project.door.url, serviceKey });

describeRegistrar("the edge function itself", async () => {
  await project.reset();
  await project.database.query("delete from ourvidz.workers");
  return {
    registrar: new EdgeRegistrar({ project: projectOf(), nowMs: Date.now }),
    url: address,
    async find(workerId) {
      const [row] = await project.database.query(
        "select url, status, capabilities, version from ourvidz.workers where worker_id = $1",
        [workerId],
      );
      if (row === undefined) return null;
      const { url, status, capabilities, version } = row;
      const texts = Array.isArray(capabilities) ? capabilities.map(String) : [];
      return { url: String(url), status: String(status), capabilities: texts, version: String(version) };
    },
    setAway(away) {
      project.faults.door = away ? () => "drop" : undefined;
    },
    close: async () => undefined,
  };
});

describe("a job type of the deployment's own", () => {
  const tide = defineHandler({
    type: "tide",
    worker: "media",
    produces: "image",
    input: jobEnvelope,
    parameters: z.object({ height: z.number().min(1).max(9), colour: z.string() }),
    defaults: { colour: "blue" },
    retry: { maxAttempts: 1, timeoutSeconds: 10 },
    run: async () => ({}),
  });
  const offer = { types: ["tide"], defaultModelTypes: ["tide"], models: [] };
  const queue = (config: object) =>
    project.call("queue-job", { body: { type: "tide", prompt: "low tide", config }, headers: ann.headers });

  test("is taken once a container has registered it, and held to what its handler takes", async () => {
    await project.reset();
    expect(await queue({ height: 3 })).toMatchObject({ status: 422, body: { code: "UNKNOWN_JOB_TYPE" } });
    const facts = { workerId: "pod-1", url: address, detectionMethod: "PUBLIC_URL", version: "1.2.3" } as const;
    const registrar = new EdgeRegistrar({ project: projectOf(), nowMs: Date.now });
    await registrar.register({ ...facts, capabilities: ["tide"], jobTypes: ownTypes([tide]) }, signal);

    expect(await queue({ height: 12 })).toMatchObject({
      status: 422,
      body: { code: "INVALID_JOB", details: [{ field: "config.height", value: 12 }] },
    });
    const unoffered = await queue({ height: 3 });
    const lack = { type: "tide", model: null, served: false };
    expect(unoffered).toMatchObject({ status: 202, body: { queue: "media_queue", waiting_for: lack } });
    const status = () =>
      project.call("job-status", { query: `?job_id=${unoffered.body.job_id}`, headers: ann.headers, method: "GET" });
    expect((await status()).body).toMatchObject({ job: { status: "queued", waiting_for: lack } });

    const source = project.container();
    await source.announce(new Map([["media", offer]]));
    expect((await queue({ height: 4 })).body).toMatchObject({ waiting_for: null });
    expect((await status()).body).toMatchObject({ job: { waiting_for: null } });
    const { leases } = await source.take([{ worker: "media", slots: 2, offer }]);
    expect(leases.map(({ job }) => job.config)).toEqual([{ height: 3 }, { height: 4 }]);
  });
});

describe("the container's callback", () => {
  let jobId: string;
  beforeEach(async () => {
    await project.reset();
    const body = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn" };
    jobId = String((await project.call("queue-job", { body, headers: ann.headers })).body.job_id);
  });

  const sender = (options: { assets?: "objects" | "urls"; secret?: string; key?: string } = {}) =>
    new HttpCallback({
      config: {
        url: `${project.door.url}/functions/v1/job-callback`,
        secret: options.secret ?? callbackSecret,
        assets: options.assets ?? "objects",
      },
      project: projectOf(options.key),
      nowMs: Date.now,
    });
  const bodyOf = (status: string, fields: Readonly<Record<string, unknown>> = {}) =>
    jobCallback.parse({ job_id: jobId, status, attempt: 1, metadata: { job_type: "sdxl_image_fast" }, ...fields });
  const picture = () => ({
    type: "image",
    url: `${ann.id}/${jobId}/0.png`,
    index: 0,
    mime_type: "image/png",
    size_bytes: 3,
  });
  const row = async () => (await project.database.query("select status, progress from ourvidz.jobs"))[0];

  test.each(["objects", "urls"] as const)("brings a job to its end, with assets as %s", async (assets) => {
    const callback = sender({ assets });
    await callback.send(bodyOf("processing", { metadata: { progress: 0.25 } }), signal);
    expect(await row()).toEqual({ status: "running", progress: 0.25 });
    const completed = bodyOf("completed", { assets: [picture()] });
    await callback.send(completed, signal);
    await callback.send(completed, signal);
    await callback.send(bodyOf("processing", { metadata: { progress: 0.5 } }), signal);
    expect(await row()).toMatchObject({ status: "completed" });
    expect(await project.database.query("select path, type from ourvidz.assets")).toEqual([
      { path: `${ann.id}/${jobId}/0.png`, type: "image" },
    ]);
  });

  test("is told what can be tried again, and what cannot", async () => {
    const completed = bodyOf("completed", { assets: [picture()] });
    const send = (callback: HttpCallback, what = completed) => callback.send(what, signal);
    await expect(send(sender({ secret: "another secret, also long enough" }))).rejects.toMatchObject({
      code: "CALLBACK_REFUSED",
      delaySeconds: 300,
    });
    await expect(send(sender({ key: "sb_secret_of_somebody_else" }))).rejects.toMatchObject({ delaySeconds: 300 });
    const unknown = jobCallback.parse({ ...completed, job_id: randomUUID() });
    await expect(send(sender(), unknown)).rejects.toMatchObject({ name: "PermanentError", code: "JOB_NOT_FOUND" });
    const foreign = bodyOf("completed", { assets: [{ ...picture(), url: `somebody/${jobId}/0.png` }] });
    await expect(send(sender(), foreign)).rejects.toMatchObject({ name: "PermanentError", code: "CALLBACK_REFUSED" });
    project.faults.door = () => "drop";
    await expect(send(sender())).rejects.toMatchObject({ name: "RetryableError", code: "CALLBACK_UNREACHABLE" });
    await project.functions.kill();
    await expect(send(sender())).rejects.toMatchObject({ code: "CALLBACK_UNREACHABLE" });
    project.faults.door = undefined;
    await project.functions.restart();
    await send(sender());
    expect(await row()).toMatchObject({ status: "completed" });
  });
});
