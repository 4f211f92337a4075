import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { isSame, signCallback, verifyCallback } from "./signature.ts";

const secret = "a secret of more than sixteen characters";
const body = new TextEncoder().encode('{"job_id": "a", "prompt": "Föhn"}');
const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const signed = async (atMs = nowMs) => new Headers(await signCallback(secret, body, atMs));
const verify = (headers: Headers, bytes = body, atMs = nowMs, undated = false) =>
  verifyCallback(secret, headers, bytes, { nowMs: atMs, undated });

test("signs the bytes that are sent, with and without the time", async () => {
  const timestamp = Math.floor(nowMs / 1000);
  const hmac = (text: string | Uint8Array) => createHmac("sha256", secret).update(text).digest("hex");
  expect(await signCallback(secret, body, nowMs)).toEqual({
    "X-Callback-Signature": `sha256=${hmac(body)}`,
    "X-Callback-Timestamp": String(timestamp),
    "X-Callback-Signature-V2": `t=${timestamp},v1=${hmac(Buffer.concat([Buffer.from(`${timestamp}.`), body]))}`,
  });
});

test("takes what was signed; the plain signature alone only where it is allowed, and never beside a dated one", async () => {
  const headers = await signed();
  expect(await verify(headers)).toBe("valid");
  headers.delete("x-callback-signature-v2");
  expect(await verify(headers)).toBe("undated");
  expect(await verify(headers, body, nowMs, true)).toBe("valid");
  expect(await verify(headers, new TextEncoder().encode("{}"), nowMs, true)).toBe("wrong");
  expect(await verify(await signed(), body, nowMs + 301_000, true)).toBe("too old");
});

test("refuses a dated signature that is more than five minutes off, whatever the plain one says", async () => {
  const headers = await signed();
  expect(await verify(headers, body, nowMs + 299_000)).toBe("valid");
  expect(await verify(headers, body, nowMs + 301_000)).toBe("too old");
  expect(await verify(headers, body, nowMs - 301_000)).toBe("too old");
});

test("refuses other bytes, another secret, another time and what is no signature", async () => {
  const other = new TextEncoder().encode('{"job_id": "b"}');
  const headers = await signed();
  expect(await verify(headers, other)).toBe("wrong");
  expect(await verifyCallback(`${secret}!`, headers, body, { nowMs })).toBe("wrong");
  const changed = (name: string, value: string) => {
    const copy = new Headers(headers);
    copy.set(name, value);
    return copy;
  };
  const later = String(Math.floor(nowMs / 1000) + 1);
  expect(await verify(changed("X-Callback-Timestamp", later))).toBe("wrong");
  const dated = headers.get("x-callback-signature-v2") ?? "";
  expect(await verify(changed("X-Callback-Signature-V2", dated.replace(/t=\d+/, `t=${later}`)))).toBe("wrong");
  expect(await verify(changed("X-Callback-Signature-V2", "v1=abc"))).toBe("wrong");
  expect(await verify(new Headers({ "X-Callback-Signature": "sha256=abc" }))).toBe("undated");
  expect(await verify(new Headers({ "X-Callback-Signature": "sha256=abc" }), body, nowMs, true)).toBe("wrong");
  expect(await verify(new Headers())).toBe("missing");
});

test("compares texts", () => {
  expect(isSame("schlüssel", "schlüssel")).toBe(true);
  for (const [left, right] of [
    ["a", "b"],
    ["a", "aa"],
    ["", "a"],
    ["a\0", "a"],
  ] as const) {
    expect(isSame(left, right)).toBe(false);
  }
});
