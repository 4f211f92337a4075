import { describe, expect, test } from "vitest";
import { readEdgeConfig } from "./environment.ts";

const old = {
  SUPABASE_URL: "https://abcd.supabase.co/",
  SUPABASE_ANON_KEY: "the-anon-key",
  SUPABASE_SERVICE_ROLE_KEY: "the-service-key",
};

describe("readEdgeConfig", () => {
  test("needs no more than what Supabase sets", () => {
    expect(readEdgeConfig({ ...old, UPSTASH_REDIS_REST_URL: "", HOME: "/" })).toEqual({
      supabaseUrl: "https://abcd.supabase.co",
      browserKey: "the-anon-key",
      serviceKeys: ["the-service-key"],
      issuers: ["https://abcd.supabase.co/auth/v1"],
      queue: null,
      callbackSecret: null,
      callbackSignatures: "dated",
      workerKey: null,
      allowedOrigins: ["*"],
      allowedWorkerHosts: [],
      webhookHosts: [],
    });
  });

  test("prefers the new keys for its own calls, and opens for every one", () => {
    const env = {
      ...old,
      SUPABASE_PUBLISHABLE_KEYS: '{"web":"sb_publishable_w","default":"sb_publishable_d"}',
      SUPABASE_SECRET_KEYS: '{"gpu":"sb_secret_g","default":"sb_secret_d"}',
    };
    const { browserKey, serviceKeys } = readEdgeConfig(env);
    expect(browserKey).toBe("sb_publishable_d");
    expect(serviceKeys).toEqual(["sb_secret_d", "sb_secret_g", "the-service-key"]);
  });

  test("reads the queue, lists, and the first of the containers' keys", () => {
    const config = readEdgeConfig({
      ...old,
      UPSTASH_REDIS_REST_URL: "https://a.upstash.io/",
      UPSTASH_REDIS_REST_TOKEN: "t",
      AUTH_ISSUERS: "https://auth.example/auth/v1, https://b.example",
      WAN_WORKER_API_KEY: "key-one,key-two",
      WORKER_HOSTS_ALLOWED: "LOCALHOST:7860",
    });
    expect(config.queue).toEqual({ url: "https://a.upstash.io", token: "t", prefix: "ourvidz" });
    expect(config.issuers).toEqual(["https://auth.example/auth/v1", "https://b.example"]);
    expect([config.workerKey, config.allowedWorkerHosts]).toEqual(["key-one", ["localhost:7860"]]);
  });

  test.each<[string, Readonly<Record<string, string>>, string[]]>([
    ["nothing is set", {}, ["SUPABASE_URL"]],
    ["keys are missing", { SUPABASE_URL: old.SUPABASE_URL }, ["SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY"]],
    [
      "half of the queue is set",
      { ...old, UPSTASH_REDIS_REST_URL: "https://a.upstash.io" },
      ["UPSTASH_REDIS_REST_TOKEN"],
    ],
    ["the other half is", { ...old, UPSTASH_REDIS_REST_TOKEN: "t" }, ["UPSTASH_REDIS_REST_URL"]],
    ["the secret is short", { ...old, JOB_CALLBACK_SECRET: "short-one" }, ["JOB_CALLBACK_SECRET"]],
    [
      "the secret ends in a line break",
      { ...old, JOB_CALLBACK_SECRET: "short-one-but-long-enough\n" },
      ["JOB_CALLBACK_SECRET"],
    ],
    ["a key is in quotes", { ...old, WAN_WORKER_API_KEY: '"short-one"' }, ["WAN_WORKER_API_KEY"]],
    ["a key of several has a blank", { ...old, WAN_WORKER_API_KEY: "key-one,short-one two" }, ["WAN_WORKER_API_KEY"]],
    [
      "the service key is in quotes",
      { ...old, SUPABASE_SERVICE_ROLE_KEY: "'short-one'" },
      ["SUPABASE_SERVICE_ROLE_KEY"],
    ],
    ["keys are no JSON", { ...old, SUPABASE_SECRET_KEYS: "sb_secret_x" }, ["SUPABASE_SECRET_KEYS"]],
  ])("says what is wrong when %s, without values", (_what, env, names) => {
    const read = () => readEdgeConfig(env);
    for (const name of names) expect(read).toThrow(name);
    for (const value of ["short-one", "sb_secret_x"]) expect(read).not.toThrow(value);
  });
});
