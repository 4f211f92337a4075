import { describe, expect, it } from "vitest";
import { readConfig } from "./config.ts";

const read = (env: Record<string, string>) => readConfig(env, () => "here-1");
const url = "https://abcd.supabase.co";
const jwt = (role: string) => `x.${Buffer.from(JSON.stringify({ role })).toString("base64url")}.y`;

describe("the connection to an app", () => {
  it("is off with nothing set", () => {
    expect(read({})).toMatchObject({ supabase: null, callback: null, heartbeatSeconds: 60 });
  });

  it("needs the project's address and its service key, under any of the key's names", () => {
    for (const name of ["SUPABASE_SERVICE_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"]) {
      expect(read({ SUPABASE_URL: `${url}/`, [name]: "sb_secret_1234" })).toMatchObject({
        supabase: { url, serviceKey: "sb_secret_1234" },
        callback: { url: `${url}/functions/v1/job-callback`, secret: null, assets: "objects" },
      });
    }
    expect(() => read({ SUPABASE_URL: url })).toThrow(/SUPABASE_SERVICE_KEY: must be set/);
    expect(() => read({ SUPABASE_SERVICE_KEY: jwt("service_role") })).toThrow(/SUPABASE_URL: must be set/);
  });

  it.each(["/rest/v1", "/rest/v1/", "/auth/v1"])("refuses an address that goes on with %s", (path) => {
    const refused = () => read({ SUPABASE_URL: `${url}${path}`, SUPABASE_SERVICE_KEY: "sb_secret_1234" });
    expect(refused).toThrow(/SUPABASE_URL is .* must be the project's address alone/);
  });

  it.each([
    ["a publishable key", "sb_publishable_1234"],
    ["an anon key", jwt("anon")],
  ])("refuses %s, and does not repeat it", (_name, key) => {
    const refused = () => read({ SUPABASE_URL: url, SUPABASE_SERVICE_KEY: key });
    expect(refused).toThrow(/SUPABASE_SERVICE_KEY: is the key for browsers/);
    expect(refused).not.toThrow(key);
  });

  it("calls back to an address of its own, without any project", () => {
    const secret = "s".repeat(32);
    expect(
      read({ CALLBACK_URL: "http://127.0.0.1:9/done", JOB_CALLBACK_SECRET: secret, CALLBACK_ASSETS: "urls" }),
    ).toMatchObject({ supabase: null, callback: { url: "http://127.0.0.1:9/done", secret, assets: "urls" } });
    expect(() => read({ CALLBACK_URL: "ftp://files.example" })).toThrow(
      /CALLBACK_URL is .* must be the http\(s\) address/,
    );
    expect(() => read({ JOB_CALLBACK_SECRET: "short" })).toThrow(/JOB_CALLBACK_SECRET: needs 16 characters/);
  });

  it("takes jobs from a project only when there is one", () => {
    expect(() => read({ SOURCES: "supabase" })).toThrow(/SUPABASE_URL: must be set, because SOURCES names supabase/);
  });

  it("names hosts of inputs with or without a port", () => {
    expect(
      read({ INPUT_HOSTS_ALLOWED: "Files.example:8080, [::1]:9000,10.0.0.7", INPUT_CACHE_MB: "0" }).inputs,
    ).toEqual({
      allowedHosts: ["files.example:8080", "[::1]:9000", "10.0.0.7"],
      cacheBytes: 0,
      maxInputBytes: 50 * 2 ** 20,
      uploads: { userBytes: 2 ** 32, totalBytes: 20 * 2 ** 30, keepMs: 24 * 3_600_000 },
      maxLoraBytes: 2048 * 2 ** 20,
      loraCacheBytes: 10_240 * 2 ** 20,
    });
    expect(() => read({ INPUT_HOSTS_ALLOWED: "https://files.example/" })).toThrow(/INPUT_HOSTS_ALLOWED/);
  });
});
