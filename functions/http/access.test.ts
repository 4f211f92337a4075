import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Access } from "../api/declare.ts";
import { routes } from "../index.ts";
import { startContainer, type TestContainer, testKey } from "../testing/container.ts";
import { sendRaw, statusOf } from "../testing/raw-request.ts";
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

  it("answers what a proxy passes on", async () => {
    const { port } = await container.listen();
    const passedOn = `Host: gpu.example.com\r\nX-Forwarded-For: 203.0.113.7\r\nVia: 1.0 edge\r\nAuthorization: Bearer ${testKey}`;
    expect(statusOf(await sendRaw(port, `GET /jobs HTTP/1.0\r\n${passedOn}\r\n\r\n`))).toBe(200);
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

  it.each<Record<string, string>>([
    { "X-Forwarded-For": "203.0.113.7" },
    // A proxy also passes on what its client wrote there.
    { "X-Forwarded-For": "127.0.0.1" },
    { "X-Forwarded-Host": "gpu.example.com" },
    { "X-Forwarded-Host": "localhost:7860" },
    { "X-Forwarded-Proto": "https" },
    { "X-Forwarded-Server": "edge-1" },
    { "X-Real-IP": "2001:db8::1" },
    { "X-Real-IP": "" },
    { Forwarded: "by=_edge;proto=https" },
    { Via: "1.1 caddy" },
    { "True-Client-IP": "203.0.113.7" },
    { "CF-Connecting-IP": "203.0.113.7" },
    { "CF-Ray": "8a1b2c3d4e5f-VIE" },
    { "X-Client-IP": "203.0.113.7" },
    { "Fly-Client-IP": "203.0.113.7" },
    { "X-Envoy-External-Address": "203.0.113.7" },
  ])("refuses a request that a proxy of this machine passes on, whatever it is for: %j", async (headers) => {
    for (const { method, path } of routes) {
      const { status, json } = await container.call(method, path.replace(":id", "unknown"), { headers });
      expect([method, path, status, json]).toMatchObject([method, path, 403, { code: "FORBIDDEN" }]);
    }
    const [name = ""] = Object.keys(headers);
    const { text } = await container.call("GET", "/health", { headers });
    expect(text).toContain(`(${name.toLowerCase()}): set WAN_WORKER_API_KEY`);
  });

  it("refuses what speaks HTTP/1.0, as nginx does to its servers unless it is told otherwise", async () => {
    const { port } = await container.listen();
    const get = (version: string) =>
      sendRaw(port, `GET /jobs HTTP/${version}\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
    expect(statusOf(await get("1.1"))).toBe(200);
    expect(statusOf(await get("1.0"))).toBe(403);
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
