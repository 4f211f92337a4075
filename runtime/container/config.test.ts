import { describe, expect, it } from "vitest";
import { readConfig } from "./config.ts";

const read = (env: Record<string, string | undefined> = {}) => readConfig(env, () => "here-1");
const key = "k".repeat(32);

describe("readConfig", () => {
  it("needs nothing: the embedded defaults, on loopback", () => {
    expect(read()).toMatchObject({
      workerId: "here-1",
      leaseSeconds: 30,
      workers: [],
      http: { host: "127.0.0.1", port: 7860, apiKeys: [] },
    });
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

  it("takes jobs from Redis when it is configured, and needs both address and token", () => {
    const redis = { UPSTASH_REDIS_REST_URL: "https://db.example", UPSTASH_REDIS_REST_TOKEN: "secret-token" };
    expect(read()).toMatchObject({ sources: ["sqlite"], upstash: null });
    expect(read({ ...redis, UPSTASH_POP_SIDE: "sdxl_queue=left,right" })).toMatchObject({
      sources: ["upstash"],
      upstash: { url: "https://db.example", events: true, popSides: { sdxl_queue: "left", "*": "right" } },
    });
    expect(read({ ...redis, SOURCES: "upstash,sqlite" }).sources).toEqual(["upstash", "sqlite"]);
    expect(() => read({ UPSTASH_REDIS_REST_URL: redis.UPSTASH_REDIS_REST_URL })).toThrow(/UPSTASH_REDIS_REST_TOKEN/);
    expect(() => read({ UPSTASH_REDIS_REST_TOKEN: "secret-token" })).toThrow(/UPSTASH_REDIS_REST_URL/);
    expect(() => read({ SOURCES: "upstash" })).toThrow(/UPSTASH_REDIS_REST_URL/);
    expect(() => read({ SOURCES: "kafka" })).toThrow(/SOURCES/);
    expect(() => read({ ...redis, UPSTASH_POP_SIDE: "up" })).toThrow(/sdxl_queue=left/);
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
