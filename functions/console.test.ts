import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startContainer, type TestContainer, testKey } from "./testing/container.ts";

let open: TestContainer;
let locked: TestContainer;

beforeAll(async () => {
  [open, locked] = await Promise.all([
    startContainer(),
    startContainer({ WAN_WORKER_API_KEY: testKey, PUBLIC_URL: "https://pod.example/worker" }),
  ]);
});

afterAll(async () => {
  await Promise.all([open.stop(), locked.stop()]);
});

const browser = { Accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

describe("GET /", () => {
  test("is the console, whose policy lets nothing run but its own scripts", async () => {
    const { status, headers, text } = await open.call("GET", "/");
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(headers.get("cache-control")).toBe("no-store");
    const policy = headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain("unsafe");
    // Nothing in the page that the policy would refuse, and nothing from elsewhere.
    expect(text).not.toMatch(/<script(?![^>]* src="console\/)|<style|\son[a-z]+=|\sstyle=|https?:\/\//);
  });

  test("lets pictures come from the container's public address", async () => {
    const { headers } = await locked.call("GET", "/", { headers: { Authorization: `Bearer ${testKey}` } });
    expect(headers.get("content-security-policy")).toContain("img-src 'self' https://pod.example data:;");
  });

  test("without a key is for browsers the page that asks for it, and for others the error", async () => {
    const page = await locked.call("GET", "/", { headers: browser });
    expect(page.status).toBe(401);
    expect(page.headers.get("www-authenticate")).toBe("Bearer");
    expect(page.headers.get("content-security-policy")).toContain("script-src 'self'");
    expect(page.text).toContain("This container asks for a key");
    const error = await locked.call("GET", "/");
    expect(error.status).toBe(401);
    expect(error.json).toMatchObject({ success: false, code: "UNAUTHORIZED" });
  });
});

describe("GET /console/<file>", () => {
  test("answers every file that the page and its scripts name", async () => {
    const page = await locked.call("GET", "/", { headers: browser });
    const named = [...page.text.matchAll(/(?:src|href)="(console\/[^"]+)"/g)].map(([, path = ""]) => `/${path}`);
    expect(named.length).toBeGreaterThan(4);
    // The list grows while it is walked through.
    for (const path of named) {
      const { status, headers, text } = await locked.call("GET", path);
      expect([path, status]).toEqual([path, 200]);
      const type = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" }[path.split(".").at(-1) ?? ""];
      expect(headers.get("content-type")).toContain(type);
      const imports = [...text.matchAll(/^import .* from "\.\/(.+)";$/gm)].map(([, name]) => `/console/${name}`);
      named.push(...imports.filter((one) => !named.includes(one)));
    }
    // Each module is named by the page itself, so that none is found late.
    const modules = named.filter((path) => path.endsWith(".js"));
    expect(modules.filter((path) => !page.text.includes(path.slice(1)))).toEqual([]);
    expect(modules).toContain("/console/words.js");
  });

  test("is not sent again while it is the same", async () => {
    const first = await open.call("GET", "/console/main.js");
    const etag = first.headers.get("etag") ?? "";
    const second = await open.call("GET", "/console/main.js", { headers: { "If-None-Match": etag } });
    expect([second.status, second.text, second.headers.get("etag")]).toEqual([304, "", etag]);
    const changed = await open.call("GET", "/console/main.js", { headers: { "If-None-Match": '"another"' } });
    expect([changed.status, changed.text]).toEqual([200, first.text]);
  });

  test.each(["nothing.js", "tsconfig.json", "..%2Fpage.ts", "%2e%2e%2fpage.ts", "__proto__", "main.js%00"])(
    "has no %s",
    async (name) => {
      expect((await open.call("GET", `/console/${name}`)).status).toBe(404);
    },
  );
});
