import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Access } from "../api/declare.ts";
import { routes } from "../index.ts";
import { startContainer, type TestContainer, testKey } from "../testing/container.ts";
import type { Route } from "./route.ts";

const otherKey = "another-key-for-tests-0002";

/** An address under the route that needs nothing to exist. */
function pathOf({ path }: Route): string {
  return path.replace(":id", "unknown").replace("/*", "/bucket/user/job/0.png");
}

function bodyOf({ method, path }: Route): unknown {
  return method === "POST" && path === "/jobs" ? { type: "unknown" } : undefined;
}

const refused: Record<Access, number | null> = { open: null, key: 401, page: 401, signed: 403 };

describe("with keys", () => {
  let container: TestContainer;
  beforeAll(async () => {
    container = await startContainer({ WAN_WORKER_API_KEY: `${testKey}, ${otherKey}` });
  });
  afterAll(() => container.stop());

  const status = async (route: Route, authorization?: string) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { Authorization: authorization };
    return (await container.call(route.method, pathOf(route), { body: bodyOf(route), headers })).status;
  };

  it.each(routes.map((route) => [route.method, route.path, route.access, route] as const))(
    "%s %s is %s",
    async (_method, _path, access, route) => {
      const expected = refused[access];
      const wrong = [
        undefined,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong-key-for-tests-0001",
        `Bearer ${testKey}x`,
        `Bearer ${testKey.slice(0, -1)}`,
        `Bearer ${testKey},${otherKey}`,
        `Bearer ${testKey} ${otherKey}`,
        `Basic ${btoa(`:${testKey}`)}`,
        testKey,
      ];
      for (const authorization of wrong) {
        if (expected === null) expect([401, 403]).not.toContain(await status(route, authorization));
        else expect(await status(route, authorization)).toBe(expected);
      }
      for (const authorization of [`Bearer ${testKey}`, `bearer  ${otherKey}`]) {
        // A key does not replace a signature.
        if (access === "signed") expect(await status(route, authorization)).toBe(403);
        else expect([401, 403]).not.toContain(await status(route, authorization));
      }
    },
  );

  it("does not exempt who comes from this machine: a proxy there passes on others' requests", async () => {
    const { url } = await container.listen();
    for (const { access, method, path } of routes.filter((route) => refused[route.access] === 401)) {
      const { status } = await fetch(url + path.replace(":id", "unknown"), { method });
      expect([method, path, access, status]).toEqual([method, path, access, 401]);
    }
  });

  it("says how to send a key, and repeats none", async () => {
    const { headers, json, text } = await container.call("GET", "/jobs", {
      headers: { Authorization: "Bearer wrong-key-for-tests-0001" },
    });
    expect(headers.get("www-authenticate")).toBe("Bearer");
    expect(json).toMatchObject({ success: false, code: "UNAUTHORIZED" });
    expect(text).not.toContain("wrong-key");
  });

  it("answers under any name, and takes requests from other sites: a browser does not add the key by itself", async () => {
    const headers = { Host: "gpu.example.com", Origin: "https://app.example.com", Authorization: `Bearer ${testKey}` };
    expect((await container.call("DELETE", "/jobs/unknown", { headers })).status).toBe(404);
  });
});

describe("without a key", () => {
  let container: TestContainer;
  beforeAll(async () => {
    container = await startContainer();
  });
  afterAll(() => container.stop());

  it.each(
    routes.filter(({ access }) => access !== "signed").map((route) => [route.method, route.path, route] as const),
  )("%s %s may be called from this machine", async (_method, _path, route) => {
    const { status } = await container.call(route.method, pathOf(route), { body: bodyOf(route) });
    expect([401, 403]).not.toContain(status);
  });

  it("still asks files for a signature", async () => {
    expect((await container.call("GET", "/files/bucket/user/job/0.png")).status).toBe(403);
  });

  const remove = async (headers: Record<string, string>) =>
    (await container.call("DELETE", "/jobs/unknown", { headers })).status;

  it.each([
    "localhost",
    "localhost:7860",
    "127.0.0.1",
    "127.0.0.1:7860",
    "127.1.2.3",
    "[::1]:7860",
    "app.localhost:80",
  ])("answers under the name %s", async (host) => {
    expect((await container.call("GET", "/jobs", { headers: { Host: host } })).status).toBe(200);
  });

  it.each([
    "evil.example.com",
    "evil.example.com:7860",
    "127.evil.example.com",
    "127.0.0.1.example.com",
    "localhost.example.com",
    "notlocalhost",
    "192.168.1.4",
    "[::2]",
    "a b",
    "",
  ])('does not answer under the name "%s", which another site may have pointed here', async (host) => {
    for (const path of ["/jobs", "/health", "/nothing"]) {
      const { status, json } = await container.call("GET", path, { headers: { Host: host } });
      expect(status).toBe(403);
      expect(json).toMatchObject({ code: "FORBIDDEN" });
    }
  });

  it.each<Record<string, string>>([
    { "Sec-Fetch-Site": "cross-site" },
    { "Sec-Fetch-Site": "same-site" },
    { Origin: "https://evil.example.com" },
    { Origin: "http://localhost:3000" },
    { Origin: "null" },
    { Origin: "http://127.0.0.1:7860.evil.example.com" },
    { Origin: "http://127.0.0.1:7860", "Sec-Fetch-Site": "cross-site" },
  ])("does nothing for a page of another site, and reads nothing: %j", async (headers) => {
    expect(await remove({ Host: "127.0.0.1:7860", ...headers })).toBe(403);
    for (const { method, path } of routes.filter((route) => refused[route.access] === 401)) {
      const { status } = await container.call(method, path.replace(":id", "unknown"), {
        headers: { Host: "127.0.0.1:7860", ...headers },
      });
      expect([method, path, status]).toEqual([method, path, 403]);
    }
    const body = { type: "gated", prompt: "a lake" };
    const posted = await container.call("POST", "/jobs", { body, headers: { Host: "127.0.0.1:7860", ...headers } });
    expect(posted.status).toBe(403);
  });

  it("answers what is open to pages of other sites, and a link to its own pages, not in a frame", async () => {
    const from = (path: string, headers: Record<string, string>) =>
      container.call("GET", path, { headers: { Host: "127.0.0.1:7860", "Sec-Fetch-Site": "cross-site", ...headers } });
    expect((await from("/health", {})).status).toBe(200);
    const link = { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
    for (const path of ["/", "/docs"]) {
      expect((await from(path, link)).status).toBe(200);
      expect((await from(path, { ...link, "Sec-Fetch-Dest": "iframe" })).status).toBe(403);
    }
    expect((await from("/worker/validate", link)).status).toBe(403);
  });

  it.each<[number, Record<string, string>]>([
    [403, { "X-Forwarded-For": "203.0.113.7" }],
    [403, { "X-Forwarded-For": "127.0.0.1, 203.0.113.7" }],
    [403, { "X-Real-IP": "2001:db8::1" }],
    [403, { Forwarded: 'for="[2001:db8::1]";proto=https' }],
    [403, { "CF-Connecting-IP": "203.0.113.7" }],
    [200, { "X-Forwarded-For": "127.0.0.1" }],
    [200, { "X-Forwarded-For": "::1" }],
    [200, { Forwarded: 'for="[::1]";proto=http;host=localhost' }],
  ])("%i for a request that a proxy of this machine passes on: %j", async (status, headers) => {
    expect((await container.call("GET", "/jobs", { headers })).status).toBe(status);
    expect((await container.call("GET", "/health", { headers })).status).toBe(status);
  });

  it.each<Record<string, string>>([
    {},
    { "Sec-Fetch-Site": "same-origin", Origin: "http://127.0.0.1:7860" },
    { "Sec-Fetch-Site": "none" },
    { Origin: "http://127.0.0.1:7860" },
  ])("does what its own page or a program asks: %j", async (headers) => {
    expect(await remove({ Host: "127.0.0.1:7860", ...headers })).toBe(404);
  });
});
