import { describe, expect, test } from "vitest";
import { decodeElement } from "./decode.ts";
import {
  expiredError,
  expiryMomentOf,
  expiryMsOf,
  expirySecondsOf,
  overdueProblem,
  timeoutSecondsOf,
} from "./expiry.ts";
import { jobEnvelope } from "./job.ts";

const job = (config: Record<string, unknown>) => ({ id: "a", type: "sdxl_image_fast", prompt: "a lake", config });

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

describe("config.expires_at", () => {
  const moment = Date.UTC(2026, 11, 1, 12);

  test.each([
    ["2026-12-01T12:00:00Z", moment],
    ["2026-12-01T13:30:00+01:30", moment],
    ["2026-12-01T11:00:00.250-01:00", moment + 250],
    [null, null],
    [undefined, null],
  ])("%s is taken for any job type", (given, ms) => {
    expect(expiryMomentOf(jobEnvelope.parse(job({ expires_at: given })))).toBe(ms);
  });

  test.each(["2026-12-01", "2026-12-01T12:00:00", "2026-12-01T12:00Z", "2026-02-30T12:00:00Z", "tomorrow", 1.7e12, ""])(
    "%s is refused, with what is allowed",
    (given) => {
      expect(jobEnvelope.safeParse(job({ expires_at: given })).error?.issues[0]).toMatchObject({
        path: ["config", "expires_at"],
        message: 'must be a moment with its offset from UTC, such as "2026-12-01T12:00:00Z"',
      });
    },
  );

  test("and the time that it may wait: the first of them counts", () => {
    const both = job({ expires_at: "2026-12-01T12:00:00Z", expires_in_seconds: 60 });
    expect(expiryMsOf(both, moment - 60_001)).toBe(moment - 1);
    expect(expiryMsOf(both, moment - 59_999)).toBe(moment);
    expect(expiredError(both, moment - 1).message).toContain("60 s (config.expires_in_seconds)");
    expect(expiredError(both, moment).message).toContain("(config.expires_at)");
  });

  test("that is over is a problem of a new job", () => {
    const late = job({ expires_at: "2026-12-01T12:00:00Z" });
    expect(overdueProblem(late, moment - 1)).toBeNull();
    expect(overdueProblem(late, moment)).toEqual({
      field: "config.expires_at",
      value: "2026-12-01T12:00:00Z",
      message: "must be later than now, 2026-12-01T12:00:00.000Z",
    });
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
  const limited = job({ expires_in_seconds: 60 });

  test("says how long it might wait", () => {
    expect(expiredError(limited, 60_000)).toEqual({
      code: "EXPIRED",
      message: "The job waited longer than its own limit of 60 s (config.expires_in_seconds).",
    });
  });

  test.each([
    [{ type: "video_fast", model: null }, "It needed the job type video_fast, which no container offered."],
    [{ type: "chat", model: "tiny" }, "It needed the job type chat with the model tiny, which no container offered."],
  ])("and what for", (need, sentence) => {
    expect(expiredError(limited, 60_000, need).message.endsWith(sentence)).toBe(true);
  });
});
