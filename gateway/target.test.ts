import fc from "fast-check";
import { expect, test } from "vitest";
import { parseTarget } from "./target.ts";

const texts = (words: readonly (string | Buffer)[]) => words.map(String);

test.each([
  ["/", [], []],
  ["/pipeline", ["pipeline"], []],
  ["/pipeline/", ["pipeline"], []],
  ["/set/a/b?EX=100&NX", ["set", "a", "b"], ["EX", "100", "NX"]],
  ["/set/a+b/c%20d%2Fe?PX=1+2", ["set", "a+b", "c d/e"], ["PX", "1 2"]],
  ["/set/k//v", ["set", "k", "", "v"], []],
  ["/get/100%", ["get", "100%"], []],
  ["/get/k?a=b=c&empty=", ["get", "k"], ["a", "b=c", "empty", ""]],
])("%s", (url, path, options) => {
  const target = parseTarget(url);
  expect([texts(target.path), texts(target.options), target.token]).toEqual([path, options, undefined]);
});

test("the token is no argument", () => {
  const { options, token } = parseTarget("/get/k?_token=a%3Db&NX");
  expect([options, token]).toEqual([["NX"], "a=b"]);
});

test("any bytes can be an argument", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1 }), { minLength: 1 }), (words) => {
      const escaped = words.map((word) => [...word].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""));
      const { path } = parseTarget(`/${escaped.join("/")}`);
      expect(path.map((word) => Buffer.from(word))).toEqual(words.map((word) => Buffer.from(word)));
    }),
  );
});

test("another form than a path is refused", () => {
  expect(() => parseTarget("http://example.com/get/k")).toThrow("must be a path");
});
