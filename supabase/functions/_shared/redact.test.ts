import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { redact, redactValue } from "./redact.ts";

const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl";

describe("redact", () => {
  it.each([
    ["Authorization: Bearer abcdef123456", "Authorization: [redacted]"],
    ["authorization: rpa_ABCDEF", "authorization: [redacted]"],
    ["sent Bearer abcdef123456 twice", "sent Bearer [redacted] twice"],
    ["Basic dXNlcjpwYXNzd29yZHBhc3N3b3Jk", "Basic [redacted]"],
    [`key ${jwt} used`, "key [redacted jwt] used"],
    ["sb_secret_abc-DEF_1", "sb_secret_[redacted]"],
    ["hf_abcdefghijklmnopqrst", "hf_[redacted]"],
    ["x-callback-signature: sha256=00ff11", "x-callback-signature: [redacted]"],
    ['{"X-Callback-Signature":"sha256=00ff11"}', '{"X-Callback-Signature":"[redacted]"}'],
    ['{"token":"abc","n":1}', '{"token":"[redacted]","n":1}'],
    ['{"authorization" : "raw key"}', '{"authorization" : "[redacted]"}'],
    ["{'service_key': 'abc'}", "{'service_key': '[redacted]'}"],
    ['"upstash_redis_rest_token": "Ab==",', '"upstash_redis_rest_token": "[redacted]",'],
    [
      '["SET","k","{\\"access_token\\":\\"abc\\",\\"n\\":1}"]',
      '["SET","k","{\\"access_token\\":\\"[redacted]\\",\\"n\\":1}"]',
    ],
    ['{"password":"it\'s"}', '{"password":"[redacted]"}'],
    [
      "UPSTASH_REDIS_REST_TOKEN=AbCd SUPABASE_URL=https://a.test",
      "UPSTASH_REDIS_REST_TOKEN=[redacted] SUPABASE_URL=https://a.test",
    ],
    ["https://db.test/get/k?_token=Ab%3D&x=1", "https://db.test/get/k?_token=[redacted]&x=1"],
    [
      "https://a.test/storage/v1/object/sign/b/p.png?token=eyJhbGciOiJI.x",
      "https://a.test/storage/v1/object/sign/b/p.png?token=[redacted]",
    ],
    [
      "https://s3.test/o?X-Amz-Signature=00ff&X-Amz-Date=1",
      "https://s3.test/o?X-Amz-Signature=[redacted]&X-Amz-Date=[redacted]",
    ],
    [
      "https://p.test/?u=https%3A%2F%2Fa.test%3Ftoken%3Dabc",
      "https://p.test/?u=https%3A%2F%2Fa.test%3Ftoken%3D[redacted]",
    ],
    ["redis://default:Ab-cd@host:6379", "redis://[redacted]@host:6379"],
    ["rediss://:Abcd@host:6379", "rediss://[redacted]@host:6379"],
  ])("%s", (text, expected) => {
    expect(redact(text)).toBe(expected);
    expect(redact(expected)).toBe(expected);
  });

  it.each([
    "config.num_images is 2: must be 1, 3 or 6",
    '{"max_tokens":"512","prompt_tokens":75,"tokenizer":"clip"}',
    "Unexpected token < in JSON",
    "basic misunderstandings of monkeys and keys",
    "https://a.test/photo.png?width=10&author=me",
    "mail gardener@example.org at 10:30",
    "10 tokens: 77 is the limit",
  ])("leaves %s alone", (text) => {
    expect(redact(text)).toBe(text);
  });

  it("changes nothing more when it runs again", () => {
    const piece = fc.constantFrom(
      "?token=",
      "&",
      "abc",
      '"token":"',
      '"',
      "\\",
      "Bearer ",
      "eyJabcde.",
      "://",
      ":",
      "@",
      "sb_secret_",
      " ",
      "authorization: ",
      "=",
      "%3Fsig%3D",
      "KEY=",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const once = redact(pieces.join(""));
        expect(redact(once)).toBe(once);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    "eyJaaaaa-",
    "a",
    "a.",
    "A_",
    "A",
    "\\",
    '"',
    "'a-",
    '"a_',
    "Bearer ",
    "Bearer  ",
    " ",
    "x://",
    "a://b:",
    ":",
    "a:",
    "?token=",
    "?X-Amz-",
    "X-Amz-a",
    "&key",
    "authorization:",
    "authorization",
    "basic a",
    "sb_secret_",
    "-",
    "hf_",
    "KEY",
    "%3F",
    '"token":"',
    '"token',
    "eyJaaaaa.",
    "eyJaaaaa.aaaaa",
  ])("takes linear time on repeated %j", (piece) => {
    const text = piece.repeat(Math.ceil(400_000 / piece.length));
    const start = performance.now();
    redact(text);
    // A quadratic pattern takes minutes for this length.
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe("redactValue", () => {
  it("copies JSON, redacting texts and what stands under a secret's name", () => {
    const value = {
      apiKey: "abc",
      api_key: "abc",
      nested: [{ "x-callback-signature": "00" }, "?token=a"],
      n: 0,
      none: null,
    };
    expect(redactValue(value)).toEqual({
      apiKey: "[redacted]",
      api_key: "[redacted]",
      nested: [{ "x-callback-signature": "[redacted]" }, "?token=[redacted]"],
      n: 0,
      none: null,
    });
  });

  it("ends on a value that contains itself", () => {
    const value: Record<string, unknown> = { name: "loop" };
    value.self = value;
    expect(JSON.stringify(redactValue(value))).toContain("…");
    const list: unknown[] = [];
    list.push(list);
    expect(JSON.stringify(redactValue(list))).toBe(`${"[".repeat(8)}"…"${"]".repeat(8)}`);
  });
});
