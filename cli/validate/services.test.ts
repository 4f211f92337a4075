import { cp } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { freePort } from "#test/support/machine.ts";
import { callbackSecret, startProject, type TestProject } from "#test/support/supabase/project.ts";
import { runCli, temporaryFolder } from "../testing/run-cli.ts";

/* `ourvidz validate` against a whole project: what is right is used and left as it was, what is wrong is named. */
let project: TestProject;
let env: Record<string, string>;
/** All that the handlers name, so that nothing but the services can be wrong. */
let models: string;

beforeAll(async () => {
  models = await temporaryFolder();
  await cp(fileURLToPath(new URL("../../models/tiny-sdxl", import.meta.url)), join(models, "sledge"), {
    recursive: true,
  });
  project = await startProject();
  await project.database.query(
    "insert into storage.buckets (id, name, public, allowed_mime_types) values ('draw', 'draw', false, '{image/png}')",
  );
}, 120_000);
afterAll(() => project.stop());

beforeEach(async () => {
  const port = String(await freePort());
  env = {
    WORKERS: "brush",
    MODELS_DIR: models,
    PORT: port,
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    WAN_WORKER_API_KEY: "a-key-for-tests-0001",
    UPSTASH_REDIS_REST_URL: project.gateway.url,
    UPSTASH_REDIS_REST_TOKEN: project.gateway.token,
    SUPABASE_URL: project.door.url,
    SUPABASE_SERVICE_KEY: project.door.serviceKey,
    JOB_CALLBACK_SECRET: callbackSecret,
  };
});

const report = z.object({
  status: z.string(),
  checks: z.array(z.object({ name: z.string(), status: z.string(), message: z.string() })),
});

const services = ["queue", "database", "storage", "callback", "public address", "registration"];

/** What is reported of each service, and the exit code. */
async function validate(changes: Record<string, string> = {}) {
  const secrets = [env.UPSTASH_REDIS_REST_TOKEN, env.SUPABASE_SERVICE_KEY, env.JOB_CALLBACK_SECRET];
  const all = { ...env, ...changes };
  const { exitCode, stdout, stderr } = await runCli(await temporaryFolder(), ["validate", "--json"], all);
  for (const secret of [...secrets, ...Object.values(changes)]) {
    if (secret !== undefined && secret.length > 16 && !secret.startsWith("http"))
      expect(stdout + stderr).not.toContain(secret);
  }
  const { checks } = report.parse(JSON.parse(stdout));
  const of = checks.filter(({ name }) => services.includes(name));
  return {
    exitCode,
    reported: Object.fromEntries(of.map(({ name, status, message }) => [name, `${status}: ${message}`])),
  };
}

async function leftBehind() {
  const rows = await project.database.query(
    "select (select count(*)::int from ourvidz.jobs) as jobs, (select count(*)::int from ourvidz.workers) as workers",
  );
  return { rows, objects: project.storage.objects(), keys: await project.gateway.client().dbsize() };
}

describe("what is configured is used", () => {
  test("with the key that the container has, and nothing is left behind", async () => {
    const { exitCode, reported } = await validate();
    expect(reported).toEqual({
      queue: expect.stringMatching(/^ok: .*runs scripts that write/),
      database: expect.stringMatching(/^ok: .*knows the service key/),
      storage: expect.stringMatching(/^ok: .*stored in draw, read and removed/),
      callback: expect.stringMatching(/^ok: .*job-callback answers signed callbacks$/),
      "public address": expect.stringMatching(/^ok: .*leads to port/),
      registration: expect.stringMatching(/^ok: .*update-worker-url knows the service key/),
    });
    expect(exitCode).toBe(0);
    expect(await leftBehind()).toEqual({ rows: [{ jobs: 0, workers: 0 }], objects: [], keys: 0 });
    expect(project.storage.requests.map(({ method }) => method)).toEqual(
      expect.arrayContaining(["POST", "GET", "DELETE"]),
    );
  });

  test("also the new kind of key, where the database and the storage know it", async () => {
    const { reported } = await validate({ SUPABASE_SERVICE_KEY: project.door.secretKey });
    expect(reported).toMatchObject({ database: expect.stringMatching(/^ok/), storage: expect.stringMatching(/^ok/) });
    // These functions were given the old key alone.
    expect(reported.callback).toMatch(/^failed: .*SUPABASE_SERVICE_KEY/);
  });

  test("and what is not configured is not mentioned", async () => {
    const { WORKERS = "", PORT = "", MODELS_DIR = "" } = env;
    env = { WORKERS, PORT, MODELS_DIR };
    const { exitCode, reported } = await validate();
    expect(reported).toEqual({});
    expect(exitCode).toBe(0);
  });
});

describe("what is wrong is named with what to do", () => {
  test("a token that may only read, a secret of another project, a bucket that is missing, a server at the wrong address", async () => {
    const otherServer: Server = createServer((_request, response) => void response.end("<html>"));
    await new Promise<void>((resolve) => otherServer.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void otherServer.close());
    const address = otherServer.address();
    const { exitCode, reported } = await validate({
      UPSTASH_REDIS_REST_TOKEN: project.gateway.readOnlyToken,
      JOB_CALLBACK_SECRET: "the secret of another project",
      WORKERS: "brush,voice",
      PUBLIC_URL: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    });
    expect(exitCode).toBe(1);
    expect(reported).toMatchObject({
      queue: expect.stringMatching(/^failed: The token may only read: set UPSTASH_REDIS_REST_TOKEN/),
      database: expect.stringMatching(/^ok/),
      storage: expect.stringMatching(/^failed: There is no bucket "say" .*run the migrations/),
      callback: expect.stringMatching(/^failed: .*401.*JOB_CALLBACK_SECRET/),
      "public address": expect.stringMatching(/^failed: .*not this machine's port/),
      registration: expect.stringMatching(/^ok/),
    });
    expect(project.storage.objects()).toEqual([]);
  });

  test("a key that is a user's, and a signature that is missing", async () => {
    const user = await project.addUser();
    const { JOB_CALLBACK_SECRET: _, ...unsigned } = env;
    env = unsigned;
    const { exitCode, reported } = await validate({ SUPABASE_SERVICE_KEY: user.token });
    expect(exitCode).toBe(1);
    expect(reported).toMatchObject({
      queue: expect.stringMatching(/^ok/),
      database: expect.stringMatching(/^failed: .*SUPABASE_SERVICE_KEY/),
      storage: expect.stringMatching(/^failed: .*SUPABASE_SERVICE_KEY/),
      callback: expect.stringMatching(/^failed: .*(SUPABASE_SERVICE_KEY|JOB_CALLBACK_SECRET)/),
      registration: expect.stringMatching(/^failed: .*SUPABASE_SERVICE_KEY/),
    });
  });

  test("services that are not there", async () => {
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const { exitCode, reported } = await validate({ UPSTASH_REDIS_REST_URL: nobody, SUPABASE_URL: nobody });
    expect(exitCode).toBe(1);
    for (const name of ["queue", "database", "storage", "callback", "registration"])
      expect(reported[name]).toMatch(/^failed: .*(cannot be reached|ECONNREFUSED)/);
    expect(reported["public address"]).toMatch(/^ok/);
  });
});
