import { describe, expect, it } from "vitest";
import { readConfig } from "./config.ts";

const read = (env: Record<string, string | undefined> = {}) => readConfig(env, () => "here-1");
const key = "k".repeat(32);
const names = (sources: readonly { readonly name: string }[]) => sources.map(({ name }) => name);

describe("readConfig", () => {
  it("needs nothing: the embedded defaults, on loopback", () => {
    expect(read()).toMatchObject({
      workerId: "here-1",
      leaseSeconds: 30,
      workers: [],
      http: { host: "127.0.0.1", port: 7860, apiKeys: [] },
    });
  });

  it("reads memory for models in megabytes, none meaning one part at a time, and leaves it to the device when not set", () => {
    expect(read().modelMemoryBytes).toBeUndefined();
    expect(read({ MODEL_MEMORY_MB: "24000" }).modelMemoryBytes).toBe(24_000 * 2 ** 20);
    expect(read({ MODEL_MEMORY_MB: "0" }).modelMemoryBytes).toBe(0);
    expect(() => read({ MODEL_MEMORY_MB: "-1" })).toThrow(
      /MODEL_MEMORY_MB.*must be a whole number from 0 to 10,000,000/,
    );
  });

  it("takes an empty variable for one that is not set", () => {
    expect(read({ PORT: "", LEASE_SECONDS: "", WAN_WORKER_API_KEY: "" })).toMatchObject({
      leaseSeconds: 30,
      http: { port: 7860 },
    });
  });

  it("reads lists and numbers, zero included", () => {
    expect(
      read({ PORT: "0", WORKERS: " sdxl, wan ,", WAN_WORKER_API_KEY: `${key},${key}2`, SHUTDOWN_GRACE_SECONDS: "0" }),
    ).toMatchObject({
      http: { port: 0, apiKeys: [key, `${key}2`] },
      workers: ["sdxl", "wan"],
      shutdownGraceSeconds: 0,
    });
  });

  it.each([
    ["WAN_WORKER_API_KEY", `${key}\n`, "ends in a line break"],
    ["WAN_WORKER_API_KEY", `"${key}"`, "is in quotes"],
    ["WAN_WORKER_API_KEY", `${key},"${key}"`, "a key is in quotes"],
    ["WAN_WORKER_API_KEY", `${key} and-more`, "visible ASCII characters without spaces"],
    ["WAN_WORKER_API_KEY", `${key}\tand-more`, "a tab"],
    ["JOB_CALLBACK_SECRET", `${key}\n`, "ends in a line break"],
    ["JOB_CALLBACK_SECRET", ` ${key}`, "white space"],
    ["JOB_CALLBACK_SECRET", `'${key}'`, "is in quotes"],
    ["SUPABASE_SERVICE_KEY", `${key}\r\n`, "ends in a line break"],
    ["SUPABASE_SERVICE_KEY", `"${key}"`, "is in quotes"],
    ["UPSTASH_REDIS_REST_TOKEN", `"${key}"`, "is in quotes"],
    ["UPSTASH_REDIS_REST_TOKEN", `${key} x`, "visible ASCII"],
    ["DATA_DIR", '"/srv/ourvidz"', "is in quotes"],
    ["PUBLIC_URL", "'https://worker.example'", "is in quotes"],
  ])("refuses %s as it is written: %j", (name, value, problem) => {
    const refused = () => read({ [name]: value });
    expect(refused).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    expect(refused).toThrow(new RegExp(`${name}.*${problem}`));
    expect(refused).not.toThrow(new RegExp(key));
  });

  it("leaves white space around what is no secret away, and secrets of several words as they are", () => {
    const { dataFolder, http, callback } = read({
      DATA_DIR: " /srv/ourvidz ",
      PORT: "7861\n",
      CALLBACK_URL: "https://app.example/callback",
      JOB_CALLBACK_SECRET: "a secret of several words",
    });
    expect([dataFolder, http.port, callback?.secret]).toEqual(["/srv/ourvidz", 7861, "a secret of several words"]);
  });

  it.each([
    "worker.example:7860",
    "javascript:alert(1)",
    "ftp://worker.example",
    "//worker.example",
    "worker.example",
    "https://user:password@worker.example",
    "https://worker.example/?a=b",
    "https://worker.example/#top",
  ])("refuses the public address %s", (PUBLIC_URL) => {
    const refused = () => read({ PUBLIC_URL, WAN_WORKER_API_KEY: key });
    expect(refused).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    expect(refused).toThrow(/PUBLIC_URL.*must be an/);
  });

  it.each(["https://worker.example", "http://127.0.0.1:7860", "https://example.com/gpu/1"])(
    "takes %s",
    (PUBLIC_URL) => {
      expect(read({ PUBLIC_URL, WAN_WORKER_API_KEY: key }).http.publicUrl).toBe(PUBLIC_URL);
    },
  );

  it("lists everything that is wrong in one message", () => {
    const broken = () => read({ PORT: "70000", LEASE_SECONDS: "soon", LOG_LEVEL: "loud" });
    expect(broken).toThrow(/PORT/);
    expect(broken).toThrow(/LEASE_SECONDS/);
    expect(broken).toThrow(/LOG_LEVEL/);
  });

  it.each([
    ["an address that others reach", { HOST: "0.0.0.0" }],
    ["a name that begins like a loopback address", { HOST: "127.example.com" }],
    ["a pod behind a public proxy", { RUNPOD_POD_ID: "abc" }],
    ["a public address", { PUBLIC_URL: "https://worker.example" }],
  ])("refuses %s without a key and says how to make one", (_, env) => {
    expect(() => read(env)).toThrow(/WAN_WORKER_API_KEY.*openssl rand -hex 32/);
    expect(() => read({ ...env, WAN_WORKER_API_KEY: key })).not.toThrow();
  });

  it.each([
    { RUNPOD_ENDPOINT_ID: "lakes" },
    {
      RUNPOD_WEBHOOK_GET_JOB: "http://127.0.0.1:8123/v2/lakes/job-take/$RUNPOD_POD_ID",
      RUNPOD_WEBHOOK_POST_OUTPUT: "http://127.0.0.1:8123/v2/lakes/job-done/$RUNPOD_POD_ID/$ID",
    },
  ])("takes a container of a serverless endpoint for no pod: nobody reaches it (%j)", (env) => {
    expect(read({ RUNPOD_POD_ID: "abc", ...env })).toMatchObject({ podId: undefined, workerId: "abc" });
  });

  it.each([
    [
      "http://127.0.0.1:8123/v2/lakes/job-done/laptop/",
      /RUNPOD_WEBHOOK_POST_OUTPUT: must have \$ID in its path or query/,
    ],
    [undefined, /RUNPOD_WEBHOOK_POST_OUTPUT: must be set beside RUNPOD_WEBHOOK_GET_JOB/],
  ])("refuses a container of an endpoint whose results would name no job: %s", (output, problem) => {
    const take = "http://127.0.0.1:8123/v2/lakes/job-take/laptop";
    expect(() => read({ RUNPOD_WEBHOOK_GET_JOB: take, RUNPOD_WEBHOOK_POST_OUTPUT: output })).toThrow(problem);
  });

  it("takes jobs from Redis when it is configured, and needs both address and token", () => {
    const redis = { UPSTASH_REDIS_REST_URL: "https://db.example", UPSTASH_REDIS_REST_TOKEN: "secret-token" };
    expect(names(read().sources)).toEqual(["sqlite"]);
    expect(names(read().configuredSources)).toEqual(["sqlite"]);
    expect(names(read({ ...redis, UPSTASH_POP_SIDE: "sdxl_queue=left,right" }).sources)).toEqual(["upstash"]);
    expect(names(read({ ...redis, SOURCES: "upstash,sqlite,upstash" }).sources)).toEqual(["upstash", "sqlite"]);
    expect(names(read({ ...redis, SOURCES: "sqlite" }).configuredSources)).toEqual(["sqlite", "upstash"]);
    expect(() => read({ UPSTASH_REDIS_REST_URL: redis.UPSTASH_REDIS_REST_URL })).toThrow(/UPSTASH_REDIS_REST_TOKEN/);
    expect(() => read({ UPSTASH_REDIS_REST_TOKEN: "secret-token" })).toThrow(/UPSTASH_REDIS_REST_URL/);
    expect(() => read({ SOURCES: "upstash" })).toThrow(/UPSTASH_REDIS_REST_URL/);
    expect(() => read({ SOURCES: "kafka" })).toThrow(/SOURCES/);
    expect(() => read({ ...redis, UPSTASH_POP_SIDE: "up" })).toThrow(/sdxl_queue=left/);
  });

  it("takes jobs from the project's table only when it is named", () => {
    const project = { SUPABASE_URL: "https://abcd.supabase.co", SUPABASE_SERVICE_KEY: "sb_secret_of_a_test" };
    expect(names(read(project).sources)).toEqual(["sqlite"]);
    expect(names(read(project).configuredSources)).toEqual(["sqlite", "supabase"]);
    expect(names(read({ ...project, SOURCES: "supabase" }).sources)).toEqual(["supabase"]);
    expect(() => read({ SOURCES: "supabase" })).toThrow(/SUPABASE_URL.*because SOURCES names supabase/);
  });

  it("lists what is wrong with its sources beside all else that is wrong", () => {
    const broken = () => read({ PORT: "70000", SOURCES: "supabase", UPSTASH_EVENTS: "loud", UPSTASH_PREFIX: "a b" });
    for (const variable of ["PORT", "UPSTASH_EVENTS", "UPSTASH_PREFIX"]) expect(broken).toThrow(variable);
    const unset = () => read({ HOST: "0.0.0.0", SOURCES: "supabase", UPSTASH_EVENTS: "loud" });
    for (const variable of ["WAN_WORKER_API_KEY", "SUPABASE_URL", "UPSTASH_EVENTS"]) expect(unset).toThrow(variable);
  });

  it("never prints a secret that is wrong", () => {
    expect(() =>
      read({ UPSTASH_REDIS_REST_URL: "https://db.example", UPSTASH_REDIS_REST_TOKEN: "a b-secret" }),
    ).not.toThrow(/b-secret/);
  });

  it("refuses the key that everybody knows, and short ones", () => {
    expect(() => read({ WAN_WORKER_API_KEY: "default_key_123" })).toThrow(/publicly known/);
    expect(() => read({ WAN_WORKER_API_KEY: "secret" })).toThrow(/16 characters/);
  });
});
