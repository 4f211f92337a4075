import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AddressGuard, shownUrl } from "./address-guard.ts";

const guard = new AddressGuard({
  allowedHosts: ["files.lan", "nas.lan:8080", "[fd12::1]", "10.0.0.7"],
  projectUrl: "http://127.0.0.1:54321",
});

function problem(text: string, base?: URL): string | null {
  try {
    guard.check(text, base);
    return null;
  } catch (error) {
    expect(error).toMatchObject({ code: "INPUT_REFUSED" });
    return error instanceof Error ? error.message : String(error);
  }
}

describe("an address", () => {
  it.each([
    "https://files.example/a.png",
    "https://files.example:443/a.png?token=abc",
    "https://93.184.216.34/a.png",
    "HTTPS://FILES.EXAMPLE/a.png",
    "http://files.lan/a.png",
    "https://files.lan:9000/a.png",
    "http://nas.lan:8080/a.png",
    "http://10.0.0.7/a.png",
    "http://[fd12::1]/a.png",
    "http://127.0.0.1:54321/storage/v1/object/sign/pictures/user/a.png?token=abc",
  ])("%s may be fetched", (text) => {
    expect(problem(text)).toBeNull();
  });

  it.each([
    ["a.png", "it is not an address"],
    ["", "it is not an address"],
    ["ftp://files.example/a.png", "ftp: is no way"],
    ["data:image/png;base64,AAAA", "data: is no way"],
    ["file:///etc/passwd", "file: is no way"],
    ["http://files.example/a.png", "it is not https"],
    ["https://files.example:22/a.png", "it has the port 22"],
    ["https://user:pw@files.example/a.png", "a user name or a password"],
    ["https://user@files.lan/a.png", "a user name or a password"],
    ["https://127.0.0.1/a.png", "loopback"],
    ["https://2130706433/a.png", "loopback"],
    ["https://0x7f.1/a.png", "loopback"],
    ["https://[::ffff:10.0.0.1]/a.png", "private"],
    ["https://169.254.169.254/latest/meta-data", "linkLocal"],
    ["http://nas.lan:8081/a.png", "it is not https"],
    ["http://127.0.0.1:54321/rest/v1/jobs", "it is not https"],
    ["http://127.0.0.1:54321/storage/v1/object/../../../rest/v1/jobs", "it is not https"],
    [`https://files.example/${"a".repeat(8200)}`, "longer than 8192 characters"],
  ])("%.60s is refused: %s", (text, why) => {
    expect(problem(text)).toContain(why);
  });

  it.each([
    ["http://files.example/a.png", true],
    ["https://127.0.0.1/a.png", true],
    ["https://files.example:22/a.png", true],
    ["a.png", false],
    ["https://user@files.lan/a.png", false],
    [`https://files.example/${"a".repeat(8200)}`, false],
  ])("%.40s is refused with what helps: INPUT_HOSTS_ALLOWED %s", (text, helps) => {
    expect(problem(text)?.includes("INPUT_HOSTS_ALLOWED")).toBe(helps);
  });

  it("is judged again where it is redirected to", () => {
    const base = new URL("https://files.example/a/b.png");
    expect(guard.check("../c.png", base).url.href).toBe("https://files.example/c.png");
    expect(problem("//10.0.0.8/c.png", base)).toContain("private");
    expect(problem("http://files.example/c.png", base)).toContain("it is not https");
  });
});

it("answers every text with yes or with a refusal, and never lets a private address by", () => {
  const strict = new AddressGuard({ allowedHosts: [], projectUrl: null });
  const private_ = fc.constantFrom(
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0177.1",
    "[::1]",
    "10.1",
    "[::ffff:a00:1]",
  );
  const decorated = fc
    .tuple(
      fc.constantFrom("https://", "HTTPS:\\\\", "https:/"),
      private_,
      fc.constantFrom("", "/", "?a", "#b", "/a\tb", "."),
    )
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.webUrl({ withQueryParameters: true }), decorated), (text) => {
      try {
        const { url } = strict.check(text);
        expect(url.protocol).toBe("https:");
        expect(url.hostname).not.toMatch(/^(127|10)\.|^\[::(1|ffff)/);
      } catch (error) {
        expect(error).toMatchObject({ code: "INPUT_REFUSED" });
      }
    }),
    { numRuns: 2000 },
  );
});

it("takes a host only when all its addresses are right", () => {
  const target = guard.check("https://files.example/a.png");
  expect(() => guard.checkAddresses(target, ["93.184.216.34", "2606:4700::1"])).not.toThrow();
  expect(() => guard.checkAddresses(target, ["93.184.216.34", "10.0.0.1"])).toThrow(/not on the public internet/);
});

it("shows no query, no credentials and no end of text", () => {
  expect(shownUrl(new URL("https://user:pw@files.example:8443/a.png?token=abc#x"))).toBe(
    "https://files.example:8443/a.png",
  );
  expect(shownUrl(new URL(`https://files.example/${"a".repeat(500)}`)).length).toBeLessThan(210);
});
