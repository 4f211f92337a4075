import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type JobCallback, jobCallback } from "#contract/callback.ts";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { type CallbackServer, startCallbackServer } from "#test/support/supabase/callback-server.ts";
import { HttpCallback, type HttpCallbackOptions } from "./http-callback.ts";

const never = new AbortController().signal;
const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl";

let app: CallbackServer;
let servers: Server[];
beforeEach(async () => {
  app = await startCallbackServer();
  servers = [];
});
afterEach(async () => {
  await app.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

function newCallback(options: Partial<HttpCallbackOptions> = {}, config: Partial<HttpCallbackOptions["config"]> = {}) {
  return new HttpCallback({
    config: { url: app.url, secret: app.secret, assets: "objects", ...config },
    project: { url: "http://127.0.0.1:1", serviceKey: jwt },
    nowMs: Date.now,
    ...options,
  });
}

function completed(fields: Record<string, unknown> = {}): JobCallback {
  const jobId = randomUUID();
  return jobCallback.parse({
    job_id: jobId,
    status: "completed",
    assets: [
      { type: "image", url: `ann/${jobId}/0.png`, thumbnail_url: `ann/${jobId}/0.thumb.webp`, index: 0, size_bytes: 3 },
      { type: "image", url: `ann/${jobId}/1.png`, index: 1 },
    ],
    metadata: { job_type: "sdxl_image_fast", original_prompt: "a lake – früh" },
    ...fields,
  });
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/hook`;
}

const answerWith = (status: number, body: string, headers: Record<string, string> = {}) =>
  serve((_request, response) => response.writeHead(status, headers).end(body));

async function failureOf(callback: HttpCallback, body = completed()): Promise<unknown> {
  return callback.send(body, never).then(
    () => "taken",
    (error: unknown) => error,
  );
}

describe("what is sent", () => {
  it("is signed over its very bytes, with and without its time, and bears the key", async () => {
    const nowMs = Date.now();
    let raw = Buffer.alloc(0);
    let headers: Record<string, unknown> = {};
    const url = await serve(async (request, response) => {
      for await (const part of request) raw = Buffer.concat([raw, part]);
      headers = request.headers;
      response.end("{}");
    });
    await newCallback({ nowMs: () => nowMs }, { url }).send(completed(), never);
    const hmac = (text: Uint8Array | string) => createHmac("sha256", app.secret).update(text).digest("hex");
    const seconds = Math.floor(nowMs / 1000);
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "content-length": String(raw.byteLength),
      authorization: `Bearer ${jwt}`,
      apikey: jwt,
      "x-callback-signature": `sha256=${hmac(raw)}`,
      "x-callback-timestamp": String(seconds),
      "x-callback-signature-v2": `t=${seconds},v1=${hmac(Buffer.concat([Buffer.from(`${seconds}.`), raw]))}`,
    });
    expect(JSON.parse(raw.toString()).metadata.original_prompt).toBe("a lake – früh");
  });

  it("has no signature without a secret, and a secret key on apikey alone", async () => {
    let headers: Record<string, unknown> = {};
    const url = await serve((request, response) => {
      headers = request.headers;
      response.end("{}");
    });
    const project = { url: "http://127.0.0.1:1", serviceKey: "sb_secret_abc" };
    await newCallback({ project }, { url, secret: null }).send(completed(), never);
    expect(headers).toMatchObject({ apikey: "sb_secret_abc" });
    expect(Object.keys(headers)).not.toContainEqual(expect.stringMatching(/signature|authorization/));
  });

  it.each([
    ["another host", "http://localhost:1", false],
    ["the project's host, another port", "http://127.0.0.1:2", true],
    ["no project", null, false],
  ])("bears the service key only to the project's own host: %s", async (_what, projectUrl, expected) => {
    const project = projectUrl === null ? null : { url: projectUrl, serviceKey: jwt };
    await newCallback({ project }).send(completed(), never);
    expect(app.arrived[0]?.headers.has("apikey")).toBe(expected);
    expect(app.arrived[0]?.headers.has("authorization")).toBe(expected);
  });

  it("has assets as objects, or as paths for older consumers", async () => {
    const callback = completed();
    await newCallback().send(callback, never);
    await newCallback({}, { assets: "urls" }).send({ ...callback, attempt: 2 }, never);
    expect(app.arrived.map(({ body }) => body)).toEqual([
      callback,
      { ...callback, attempt: 2, assets: callback.assets.map(({ url }) => url) },
    ]);
  });

  it("is never a completion without files of a job that makes files", async () => {
    const error = await failureOf(newCallback(), { ...completed(), assets: [] });
    expect(error).toBeInstanceOf(PermanentError);
    expect(error).toMatchObject({ code: "CALLBACK_REFUSED", message: expect.stringContaining("must not be empty") });
    expect(app.arrived).toEqual([]);
  });
});

describe("answers", () => {
  it.each([
    [200, '{"success":true,"skipped":true}'],
    [200, ""],
    [204, ""],
  ])("%i %s is final", async (status, body) => {
    expect(await failureOf(newCallback({}, { url: await answerWith(status, body) }))).toBe("taken");
  });

  it.each([
    [400, '{"code":"INVALID_REQUEST"}', "CALLBACK_REFUSED"],
    [413, "too large", "CALLBACK_REFUSED"],
    [422, '{"code":"ASSET_PATH_REFUSED"}', "CALLBACK_REFUSED"],
    [404, '{"code":"JOB_NOT_FOUND"}', "JOB_NOT_FOUND"],
  ])("%i %s is final too", async (status, body, code) => {
    const error = await failureOf(newCallback({}, { url: await answerWith(status, body) }));
    expect(error).toBeInstanceOf(PermanentError);
    expect(error).toMatchObject({ code });
  });

  it.each([408, 425, 429, 500, 502, 503, 504, 544])("%i is tried again with backoff", async (status) => {
    const error = await failureOf(newCallback({}, { url: await answerWith(status, "busy") }));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error).toMatchObject({ code: "CALLBACK_UNREACHABLE", delaySeconds: undefined });
  });

  it.each([
    ["17", 17],
    [new Date(1_800_000_090_000).toUTCString(), 90],
    ["999999", 3600],
    [new Date(0).toUTCString(), 0],
    ["soon", undefined],
  ])("429 with Retry-After %s is tried again after %s seconds", async (value, delaySeconds) => {
    const url = await answerWith(429, "", { "retry-after": value });
    const error = await failureOf(newCallback({ nowMs: () => 1_800_000_000_000 }, { url }));
    expect(error).toMatchObject({ code: "CALLBACK_UNREACHABLE", delaySeconds });
  });

  it.each([
    [401, "{}", /SUPABASE_SERVICE_KEY and JOB_CALLBACK_SECRET/],
    [403, "{}", /SUPABASE_SERVICE_KEY and JOB_CALLBACK_SECRET/],
    [404, '{"code":"NOT_FOUND","message":"Requested function was not found"}', /check CALLBACK_URL/],
    [405, "", /check CALLBACK_URL/],
  ])("%i %s is tried again slowly", async (status, body, message) => {
    const error = await failureOf(newCallback({}, { url: await answerWith(status, body) }));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error).toMatchObject({
      code: "CALLBACK_REFUSED",
      delaySeconds: 300,
      // By which another job is the next to ask.
      details: { status },
      message: expect.stringMatching(message),
    });
  });

  it("does not follow a redirect", async () => {
    const url = await answerWith(307, "", { location: app.url });
    expect(await failureOf(newCallback({}, { url }))).toMatchObject({ code: "CALLBACK_REFUSED", delaySeconds: 300 });
    expect(app.arrived).toEqual([]);
  });

  it("reports the reason of a refusal, without secrets", async () => {
    const url = await answerWith(401, JSON.stringify({ error: `wrong key ${jwt}`, code: "UNAUTHORIZED" }));
    const error = await failureOf(newCallback({}, { url: `${url}?token=of-the-endpoint` }));
    expect(error).toMatchObject({ message: expect.stringContaining("401 UNAUTHORIZED (wrong key [redacted jwt])") });
    expect(String(error)).not.toContain("of-the-endpoint");
  });
});

describe("no answer", () => {
  it("is tried again: nobody listens, the connection ends, nothing comes, too much comes", async () => {
    app.faults.add({ does: { dropAnswer: true } }, { does: { hang: true } });
    const endless = await serve((_request, response) => {
      const more = () => {
        while (response.write("x".repeat(65_536)));
      };
      response.on("drain", more);
      more();
    });
    const callbacks = [
      newCallback({}, { url: "http://127.0.0.1:1/hook" }),
      newCallback(),
      newCallback({ limitMs: 100 }),
      newCallback({}, { url: endless }),
    ];
    for (const callback of callbacks) {
      const error = await failureOf(callback);
      expect(error).toBeInstanceOf(RetryableError);
      expect(error).toMatchObject({ code: "CALLBACK_UNREACHABLE", details: undefined });
    }
  });

  it("on a connection that was kept and has ended is sent on a new one", async () => {
    const served = new Map<unknown, number>();
    const url = await serve((request, response) => {
      const count = (served.get(request.socket) ?? 0) + 1;
      served.set(request.socket, count);
      if (count > 1) request.socket.resetAndDestroy();
      else request.resume().on("end", () => response.end("{}"));
    });
    for (let times = 0; times < 3; times++) expect(await failureOf(newCallback({}, { url }))).toBe("taken");
    expect([...served.values()]).toContain(2);
  });

  it("is not waited for when the container stops", async () => {
    app.faults.add({ does: { hang: true } });
    const stopping = new AbortController();
    const sending = newCallback().send(completed(), stopping.signal);
    stopping.abort(new Error("the container stops"));
    await expect(sending).rejects.toThrow(/the container stops/);
  });
});
