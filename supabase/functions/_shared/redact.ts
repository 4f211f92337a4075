/**
 * Secrets are removed from a text when an error is built, not when it is printed. Every pattern runs in linear time:
 * repetitions are bounded, or begin only where a run of their characters begins.
 */

const secretName = "authorization|signature|token|secret|password|api_?key|service_key|service_role_key|cookie";

const patterns: readonly (readonly [RegExp, string])[] = [
  // {"authorization": "…"}, {"X-Callback-Signature":"…"}, and the same inside a string of JSON: {\"token\":\"…\"}
  [
    new RegExp(
      `(["'](?:[a-z0-9]{1,24}[_-]){0,4}(?:${secretName})\\\\{0,8}["']\\s{0,8}:\\s{0,8}\\\\{0,8}(["']))(?:(?!\\2)[^\\\\])*`,
      "gi",
    ),
    "$1[redacted]",
  ],
  [
    /(?<![a-z0-9_-])((?:proxy-)?authorization|x-callback-signature|x-api-key|apikey|(?:set-)?cookie)(\s{0,4}[:=]\s{0,4})(?:(?:Bearer|Basic)\s{1,8})?[^\s,;"'\\]+/gi,
    "$1$2[redacted]",
  ],
  [/(?<![A-Z0-9_])([A-Z0-9_]{0,64}(?:TOKEN|SECRET|PASSWORD|_KEY)=)[^\s&"'\\]+/g, "$1[redacted]"],
  [/(?<![a-z0-9])(Bearer)\s{1,8}[a-z0-9._~+/=-]{8,}/gi, "$1 [redacted]"],
  [/(?<![a-z0-9])(Basic)\s{1,8}[a-z0-9+/]{20,}={0,2}/gi, "$1 [redacted]"],
  [/(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*/g, "[redacted jwt]"],
  [/\bsb_(secret|publishable)_[A-Za-z0-9_-]+/g, "sb_$1_[redacted]"],
  [/(?<![A-Za-z0-9_])(hf|rpa)_[A-Za-z0-9]{16,}/g, "$1_[redacted]"],
  // Signed storage URLs (?token=), Upstash (?_token=), S3 (X-Amz-…), also percent-encoded inside another URL.
  [
    /((?:[?&#;]|%3F|%26)(?:_?token|signature|sig|key|apikey|api_key|access_token|refresh_token|secret|password|X-Amz-[A-Za-z-]{1,40})(?:=|%3D))[^&\s"'\\]+/gi,
    "$1[redacted]",
  ],
  [/(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}:\/\/)[^/\s:@]*:[^/\s@]+@/gi, "$1[redacted]@"],
];

const secretKey = new RegExp(`^(?:[a-z0-9]{1,24}[_-]){0,4}(?:${secretName})$`, "i");

/** Removes bearer tokens, JWTs, Supabase and Upstash keys, signatures, signed-URL queries and URL credentials. */
export function redact(text: string): string {
  return patterns.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
}

const deepest = 8;

/**
 * A copy of a JSON value with every text redacted, and what stands under a secret's name removed. Below eight levels
 * nothing is copied; what is not JSON is left as it is.
 */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return redact(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= deepest) return "…";
  if (Array.isArray(value)) return value.map((entry) => redactValue(entry, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [
      key,
      typeof entry === "string" && secretKey.test(key) ? "[redacted]" : redactValue(entry, depth + 1),
    ]),
  );
}
