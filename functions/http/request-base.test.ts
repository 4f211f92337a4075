import { expect, it } from "vitest";
import { addressAt, requestBase } from "./request-base.ts";

const base = (headers: Record<string, string>, publicUrl?: string) =>
  requestBase(new Request("http://127.0.0.1:7860/jobs/1?a=b", { headers }), publicUrl);

it.each([
  ["as the request says", {}, undefined, "http://127.0.0.1:7860/"],
  ["by its Host", { host: "lake.lan:7860" }, undefined, "http://lake.lan:7860/"],
  [
    "by the first proxy",
    { "x-forwarded-proto": "https, http", "x-forwarded-host": "a.example, b" },
    undefined,
    "https://a.example/",
  ],
  [
    "with the prefix that a proxy takes away",
    { "x-forwarded-prefix": "/worker" },
    undefined,
    "http://127.0.0.1:7860/worker/",
  ],
  ["not by what is no name", { "x-forwarded-host": "ann:pw@a/?b#" }, undefined, "http://127.0.0.1:7860/"],
  ["not by another scheme", { "x-forwarded-proto": "javascript" }, undefined, "http://127.0.0.1:7860/"],
  [
    "by PUBLIC_URL before all",
    { "x-forwarded-host": "a" },
    "https://gpu.example/worker",
    "https://gpu.example/worker/",
  ],
  ["by PUBLIC_URL with a slash", {}, "https://gpu.example/worker/", "https://gpu.example/worker/"],
])("is made %s", (_what, headers, publicUrl, expected) => {
  expect(base(headers, publicUrl)).toBe(expected);
});

it("keeps the path of a base, and leaves whole addresses alone", () => {
  expect(addressAt("https://gpu.example/worker/", "/files/a%20b.png?sig=1")).toBe(
    "https://gpu.example/worker/files/a%20b.png?sig=1",
  );
  expect(addressAt("https://gpu.example/worker/", "https://storage.example/a.png")).toBe(
    "https://storage.example/a.png",
  );
});
