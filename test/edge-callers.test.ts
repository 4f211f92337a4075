import { randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeProjectKeys } from "./support/supabase/keys.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/* Who may call, in a project with only the new kind of keys; the other tests use the old kind. */
let project: TestProject;
let ann: TestUser;
let jobId: string;

beforeAll(async () => {
  project = await startProject({ newKeys: true, env: { ALLOWED_ORIGINS: "https://app.example, https://www.example" } });
  ann = await project.addUser();
  const body = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn" };
  jobId = String((await project.call("queue-job", { body, headers: ann.headers })).body.job_id);
}, 120_000);
afterAll(() => project.stop());

const look = (headers: Readonly<Record<string, string>>) =>
  project.call("job-status", { query: `?job_id=${jobId}`, headers });
const bearer = (token: string) => ({ apikey: project.door.publishableKey, Authorization: `Bearer ${token}` });
const claims = () => ({
  sub: ann.id,
  role: "authenticated",
  aud: "authenticated",
  iss: "https://supabase-test.example/auth/v1",
});
const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

describe("a user's token", () => {
  test("opens, by the project's key pair and by its old secret", async () => {
    expect(await look(bearer(ann.token))).toMatchObject({ status: 200, body: { job: { job_id: jobId } } });
    expect((await look(bearer(await project.door.userToken(ann.id, { legacy: true })))).status).toBe(200);
  });

  test.each([false, true])("is refused when it has expired (old secret: %s)", async (legacy) => {
    const token = await project.door.userToken(ann.id, { legacy, expiresInSeconds: -60 });
    const { status, body } = await look(bearer(token));
    expect([status, body.code]).toEqual([401, "UNAUTHORIZED"]);
    expect(body.error).toContain("expired");
  });

  test.each([false, true])("of another project is refused (old secret: %s)", async (legacy) => {
    const theirs = await makeProjectKeys();
    const { status, body } = await look(bearer(await theirs.userToken(ann.id, { legacy })));
    expect([status, body.code]).toEqual([401, "UNAUTHORIZED"]);
    expect(body.error).toContain("not one of this project's");
  });

  test("without a signature is refused, whatever its case", async () => {
    const unsigned = new UnsecuredJWT(claims()).setExpirationTime(inAnHour()).encode();
    const [, payload] = unsigned.split(".");
    const odd = `${Buffer.from('{"alg":"NoNe"}').toString("base64url")}.${payload}.`;
    for (const token of [unsigned, odd, `${unsigned}AAAA`]) expect((await look(bearer(token))).status).toBe(401);
  });

  test("signed with the project's public key as if it were a secret is refused", async () => {
    const [key] = project.door.jwks.keys;
    const secret = new TextEncoder().encode(JSON.stringify(key));
    const header = { alg: "HS256", kid: String(key?.kid) };
    const token = await new SignJWT(claims()).setProtectedHeader(header).setExpirationTime(inAnHour()).sign(secret);
    expect((await look(bearer(token))).status).toBe(401);
  });

  test("that brings its own key is refused", async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
    const header = { alg: "ES256", kid: "project-key", jwk: await exportJWK(publicKey) };
    const token = await new SignJWT(claims()).setProtectedHeader(header).setExpirationTime(inAnHour()).sign(privateKey);
    expect((await look(bearer(token))).status).toBe(401);
  });

  test("of a user who is gone finds nothing", async () => {
    const nobody = randomUUID();
    expect((await look(bearer(await project.door.userToken(nobody)))).status).toBe(404);
    expect((await look(bearer(await project.door.userToken(nobody, { legacy: true })))).status).toBe(401);
  });

  test.each(["", "x", "a.b.c", "eyJhbGciOiJFUzI1NiJ9.e30.AA", `${"x".repeat(6000)}.${"y".repeat(6000)}.z`])(
    "is not %j",
    async (token) => expect((await look(bearer(token))).status).toBe(401),
  );
});

describe("a key of the project", () => {
  test("for browsers is no user and no service", async () => {
    const { publishableKey, anonKey } = project.door;
    for (const key of [publishableKey, anonKey]) {
      expect((await look({ apikey: key })).status).toBe(401);
      expect((await look({ apikey: key, Authorization: `Bearer ${key}` })).status).toBe(401);
      expect((await project.call("system-metrics", { headers: { apikey: key } })).status).toBe(401);
    }
  });

  test("of the new kind opens what is for the project, as apikey and as bearer", async () => {
    const { secretKey } = project.door;
    const ways: Readonly<Record<string, string>>[] = [{ apikey: secretKey }, { Authorization: `Bearer ${secretKey}` }];
    for (const headers of ways) {
      const { status, body } = await project.call("system-metrics", { headers });
      expect([status, body.success]).toEqual([200, true]);
      expect(body).toMatchObject({ queues: [{ queue: "sdxl_queue", queued: 1 }], outbox: { waiting: 0 } });
    }
    const wrong = `${secretKey.slice(0, -1)}${secretKey.endsWith("x") ? "y" : "x"}`;
    for (const key of [wrong, secretKey.slice(0, -1), `${secretKey}x`]) {
      expect((await project.call("system-metrics", { headers: { apikey: key } })).status).toBe(401);
    }
  });

  test("does not stand in for a user where only users may call", async () => {
    const headers = { Authorization: `Bearer ${project.door.secretKey}` };
    const { status, body } = await project.call("queue-job", { body: { type: "chat", prompt: "hello" }, headers });
    expect([status, body.code]).toEqual([401, "UNAUTHORIZED"]);
    expect(body.error).toContain("a key of the project");
  });
});

test("a user's token counts as the user's, also when it comes with the project's key", async () => {
  const bob = await project.addUser();
  const { status } = await look({ apikey: project.door.secretKey, Authorization: `Bearer ${bob.token}` });
  expect(status).toBe(404);
  const metrics = { apikey: project.door.secretKey, Authorization: `Bearer ${bob.token}` };
  expect((await project.call("system-metrics", { headers: metrics })).status).toBe(200);
});

test("users may not call what is for the project", async () => {
  for (const name of ["system-metrics", "update-worker-url", "register-chat-worker", "job-callback"]) {
    const { status, body } = await project.call(name, { body: {}, headers: ann.headers });
    expect([name, status, body.code]).toEqual([name, 403, "FORBIDDEN"]);
    expect((await project.call(name, { body: {} })).status).toBe(401);
  }
});

test("browsers may call from the app's pages, and what is for users only", async () => {
  const preflight = (name: string, origin: string) => project.call(name, { method: "OPTIONS", headers: { origin } });
  const allowed = await preflight("queue-job", "https://www.example");
  expect(allowed.headers.get("access-control-allow-origin")).toBe("https://www.example");
  expect(allowed.headers.get("vary")).toBe("Origin");
  expect((await preflight("queue-job", "https://evil.example")).headers.get("access-control-allow-origin")).toBeNull();
  expect(
    (await preflight("job-callback", "https://app.example")).headers.get("access-control-allow-origin"),
  ).toBeNull();
});

test("requests carry an id, a harmless one of the caller's own if there is one", async () => {
  const own = await look({ ...ann.headers, "x-request-id": "page-1-click-7" });
  expect(own.headers.get("x-request-id")).toBe("page-1-click-7");
  const odd = await look({ ...ann.headers, "x-request-id": "a b; c" });
  expect(odd.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
});

test("no key and no token is in the log", () => {
  const text = project.functions.logs.join("\n");
  const { secretKey, publishableKey } = project.door;
  expect([secretKey, publishableKey, ann.token, "eyJ"].filter((secret) => text.includes(secret))).toEqual([]);
});
