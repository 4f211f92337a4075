import { describe, expect, test } from "vitest";
import { decodeElement } from "./decode.ts";
import { expiredError, expirySecondsOf, timeoutSecondsOf } from "./expiry.ts";
import { jobEnvelope } from "./job.ts";

const job = (config: object) => ({ id: "a", type: "sdxl_image_fast", prompt: "a lake", config });

describe("config.expires_in_seconds", () => {
  test.each([
    [0.5, 0.5],
    [60, 60],
    [2_592_000, 2_592_000],
    ["60", 60],
    ["0.5", 0.5],
    [null, null],
    [undefined, null],
  ])("%s is taken for any job type", (given, seconds) => {
    expect(expirySecondsOf(jobEnvelope.parse(job({ expires_in_seconds: given, steps: 4 })))).toBe(seconds);
  });

  test.each([0, -1, 2_592_001, "1e2", "", "2592001", true, Number.NaN])(
    "%s is refused, with what is allowed",
    (given) => {
      const parsed = jobEnvelope.safeParse(job({ expires_in_seconds: given }));
      expect(parsed.error?.issues).toMatchObject([
        { path: ["config", "expires_in_seconds"], message: "must be a number above 0 and at most 2,592,000 (30 days)" },
      ]);
    },
  );

  test("that is wrong in a pushed job fails that job", () => {
    const decoded = decodeElement(JSON.stringify(job({ expires_in_seconds: -1 })));
    expect(decoded).toMatchObject({ ok: false, rejected: { job: { id: "a" } } });
  });
});

describe("config.timeout_seconds", () => {
  test.each([
    [0.5, 0.5],
    ["60", 60],
    [86_400, 86_400],
    [null, null],
  ])("%s is taken for any job type", (given, seconds) => {
    expect(timeoutSecondsOf(jobEnvelope.parse(job({ timeout_seconds: given })))).toBe(seconds);
  });

  test.each([0, -5, 86_401, "soon"])("%s is refused, with what is allowed", (given) => {
    expect(jobEnvelope.safeParse(job({ timeout_seconds: given })).error?.issues).toMatchObject([
      { path: ["config", "timeout_seconds"], message: "must be a number above 0 and at most 86,400 (a day)" },
    ]);
  });
});

describe("the error of an expired job", () => {
  test("says how long it might wait", () => {
    expect(expiredError(60)).toEqual({
      code: "EXPIRED",
      message: "The job waited longer than its own limit of 60 s (config.expires_in_seconds).",
    });
  });

  test.each([
    [{ type: "video_fast", model: null }, "It needed the job type video_fast, which no container offered."],
    [{ type: "chat", model: "tiny" }, "It needed the job type chat with the model tiny, which no container offered."],
  ])("and what for", (need, sentence) => {
    expect(expiredError(60, need).message.endsWith(sentence)).toBe(true);
  });
});
