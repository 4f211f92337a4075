/**
 * The signatures of a callback. Both are over the bytes that are sent, with the secret that app and container share:
 *
 *   X-Callback-Signature:    sha256=<hex HMAC-SHA256(body)>
 *   X-Callback-Timestamp:    <unix seconds>
 *   X-Callback-Signature-V2: t=<unix seconds>,v1=<hex HMAC-SHA256("<unix seconds>." + body)>
 *
 * The second one grows old: whoever saw a callback cannot send it again later. Web Crypto only, so that it runs in Deno
 * and Node alike.
 */
export const signatureHeaders = {
  plain: "X-Callback-Signature",
  timestamp: "X-Callback-Timestamp",
  dated: "X-Callback-Signature-V2",
} as const;

/** How far the clocks of container and edge function may be apart, the time under way included. */
export const signatureMaxAgeSeconds = 300;

export type SignatureVerdict = "valid" | "missing" | "undated" | "wrong" | "too old";

export interface VerifyOptions {
  /** Takes the plain signature where no dated one was sent: whoever saw such a callback can send it again at any time. */
  readonly undated?: boolean;
  readonly nowMs?: number;
}

/** The headers of a callback with this body, sent now. */
export async function signCallback(
  secret: string,
  body: Uint8Array,
  nowMs: number = Date.now(),
): Promise<Record<(typeof signatureHeaders)[keyof typeof signatureHeaders], string>> {
  const timestamp = String(Math.floor(nowMs / 1000));
  return {
    [signatureHeaders.plain]: `sha256=${await hmac(secret, body)}`,
    [signatureHeaders.timestamp]: timestamp,
    [signatureHeaders.dated]: `t=${timestamp},v1=${await hmac(secret, dated(timestamp, body))}`,
  };
}

/** Checks the dated signature. Who leaves it out does not get past it: the plain one alone is refused unless `undated`. */
export async function verifyCallback(
  secret: string,
  headers: Headers,
  body: Uint8Array,
  { undated = false, nowMs = Date.now() }: VerifyOptions = {},
): Promise<SignatureVerdict> {
  const sentDated = headers.get(signatureHeaders.dated);
  if (sentDated !== null) return verifyDated(secret, headers, sentDated, body, nowMs);
  const sentPlain = headers.get(signatureHeaders.plain);
  if (sentPlain === null) return "missing";
  if (!undated) return "undated";
  const [, plain = ""] = /^sha256=([0-9a-f]{64})$/i.exec(sentPlain) ?? [];
  return isSame(plain.toLowerCase(), await hmac(secret, body)) ? "valid" : "wrong";
}

async function verifyDated(
  secret: string,
  headers: Headers,
  sent: string,
  body: Uint8Array,
  nowMs: number,
): Promise<SignatureVerdict> {
  const [, timestamp, signature] = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/i.exec(sent) ?? [];
  if (timestamp === undefined || signature === undefined) return "wrong";
  if ((headers.get(signatureHeaders.timestamp) ?? timestamp) !== timestamp) return "wrong";
  if (!isSame(signature.toLowerCase(), await hmac(secret, dated(timestamp, body)))) return "wrong";
  return Math.abs(nowMs / 1000 - Number(timestamp)) <= signatureMaxAgeSeconds ? "valid" : "too old";
}

/** Compares two texts in a time that does not tell where they differ. */
export function isSame(left: string, right: string): boolean {
  const [a, b] = [new TextEncoder().encode(left), new TextEncoder().encode(right)];
  let difference = a.length ^ b.length;
  for (let place = 0; place < Math.max(a.length, b.length); place += 1) difference |= (a[place] ?? 0) ^ (b[place] ?? 0);
  return difference === 0;
}

function dated(timestamp: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = new TextEncoder().encode(`${timestamp}.`);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

async function hmac(secret: string, bytes: Uint8Array): Promise<string> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(secret), algorithm, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, Uint8Array.from(bytes));
  return [...new Uint8Array(signature)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
