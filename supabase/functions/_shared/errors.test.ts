import { describe, expect, it } from "vitest";
import { CodedError, PermanentError, RetryableError, retryMeaning, toErrorReport } from "./errors.ts";

class PipelineError extends Error {
  readonly code: string;
  readonly permanent: boolean;
  readonly details = { step: 3, url: "https://files.test/a.png?token=abc" };

  constructor(code: string, permanent: boolean) {
    super("latents are not finite, see https://files.test/a.png?token=abc");
    this.code = code;
    this.permanent = permanent;
  }
}

describe("toErrorReport", () => {
  it("reports a coded error with its details", () => {
    const error = new PermanentError("no such model", { code: "MODEL_NOT_FOUND", details: { looked: ["a"] } });
    expect(error.permanent).toBe(true);
    expect(Object.keys(error)).not.toContain("permanent");
    expect(toErrorReport(error)).toEqual({
      code: "MODEL_NOT_FOUND",
      message: "no such model",
      details: { looked: ["a"] },
    });
  });

  it("recognises another make of error by a code of ours, and redacts it", () => {
    expect(toErrorReport(new PipelineError("NUMERICAL_ERROR", false))).toEqual({
      code: "NUMERICAL_ERROR",
      message: "latents are not finite, see https://files.test/a.png?token=[redacted]",
      details: { step: 3, url: "https://files.test/a.png?token=[redacted]" },
    });
    expect(toErrorReport({ code: "TIMED_OUT", message: "too slow" })).toEqual({
      code: "TIMED_OUT",
      message: "too slow",
    });
  });

  it("reports an error whatever its details are", () => {
    const details = Object.defineProperty({ seed: 7n, draw: () => 1 }, "brush", {
      enumerable: true,
      get() {
        throw new Error("no brush");
      },
    });
    const report = { seed: "7", draw: "[a function]", brush: "[cannot be read]" };
    expect(toErrorReport(new PermanentError("no paint", { details })).details).toEqual(report);
    expect(toErrorReport({ code: "TIMED_OUT", message: "slow", details }).details).toEqual(report);
    const large = toErrorReport(new CodedError("INTERNAL", "x", { details: { log: "a".repeat(5_000_000) } }));
    expect(JSON.stringify(large).length).toBeLessThan(65_000);
  });

  it("shortens a message that is too long to be read, and cuts no secret in two", () => {
    const secret = "sb_secret_abcdefghijklmnopqrstuvwxyz";
    const { message } = toErrorReport(new Error(`${"a".repeat(7980)} ${secret} ${"b".repeat(5_000_000)}`));
    expect(message.slice(-40)).toMatch(/^a+ sb_\D*… \(5,008,018 characters\)$/);
    expect(message).not.toContain("abcd");
    expect(toErrorReport(new Error("a".repeat(9000))).message.slice(7998)).toBe("aa… (9,000 characters)");
  });

  it("reports what throws when it is read", () => {
    const thrown = Object.defineProperties(
      {},
      {
        code: {
          get() {
            throw new Error("no code");
          },
        },
        message: {
          get() {
            throw new Error("no message");
          },
        },
      },
    );
    expect(toErrorReport(thrown)).toEqual({ code: "INTERNAL", message: "An object that is not an error was thrown" });
    expect(retryMeaning(thrown)).toBe("backoff");
  });

  it.each([
    [Object.assign(new Error("gone"), { code: "ENOENT" }), "gone"],
    [Object.assign(new Error("odd"), { code: "toString" }), "odd"],
    [new Error("plain"), "plain"],
    ["a text", "a text"],
    [undefined, "undefined"],
    [Object.create(null), "An object that is not an error was thrown"],
    [{ code: "TIMED_OUT" }, "An object that is not an error was thrown"],
  ])("gives the fallback to %s", (error, message) => {
    expect(toErrorReport(error, "HANDLER_FAILED")).toEqual({ code: "HANDLER_FAILED", message });
  });
});

describe("retryMeaning", () => {
  it.each([
    [new PermanentError("bad"), "never"],
    [new RetryableError("later"), "backoff"],
    [new RetryableError("later", { delaySeconds: 0 }), { delaySeconds: 0 }],
    [new RetryableError("later", { delaySeconds: 30 }), { delaySeconds: 30 }],
    [new RetryableError("later", { delaySeconds: Number.NaN }), "backoff"],
    [new RetryableError("later", { delaySeconds: -1 }), "backoff"],
    [new RetryableError("later", { delaySeconds: 1e300 }), { delaySeconds: 604_800 }],
    [new PipelineError("UNSUPPORTED_OPTION", true), "never"],
    [new PipelineError("OUT_OF_MEMORY", false), "backoff"],
    [new CodedError("INTERNAL", "odd"), "backoff"],
    [new Error("plain"), "backoff"],
    ["a text", "backoff"],
    [null, "backoff"],
  ])("%s: %j", (error, meaning) => {
    expect(retryMeaning(error)).toEqual(meaning);
  });
});

it("redacts message and details when the error is built", () => {
  const error = new CodedError("INTERNAL", "GET https://a.test/f?token=abc failed", {
    details: { headers: { Authorization: "Bearer abcdefgh1234" }, list: ["redis://default:pw@h:1"] },
  });
  expect(error.message).toBe("GET https://a.test/f?token=[redacted] failed");
  expect(error.details).toEqual({ headers: { Authorization: "[redacted]" }, list: ["redis://[redacted]@h:1"] });
});
