import { describe, expect, test } from "vitest";
import { jobEnvelope } from "../job.ts";
import { type DefaultPolicyOptions, defaultPolicy } from "./default-policy.ts";
import { createMinorsRule } from "./minors.ts";
import { defaultTerms } from "./terms.ts";
import { textsOf } from "./texts.ts";

/* Made-up words stand for the terms of each list: what is tested is how requests are read. */
const terms = { minors: ["zib", "tall zib", "zibling*"], sexual: ["quop"], adulthood: ["gorm"], clothing: ["thrax"] };
const rule = createMinorsRule(terms);
const refuses = (job: Readonly<Record<string, unknown>>) => rule(textsOf(job));

describe("the rule on minors", () => {
  test("refuses a request that names both, wherever each stands", () => {
    expect(refuses({ prompt: "a zib and a quop by the sea" })).toBe(true);
    expect(refuses({ prompt: "a quop by the sea", metadata: { notes: [{ about: "two zibs" }] } })).toBe(true);
    expect(refuses({ prompt: "a quop", compel_weights: "(zib:1.3), (sea:1.1)" })).toBe(true);
    expect(refuses({ prompt: "a quop", config: { style: "ziblinghood" } })).toBe(true);
    expect(
      refuses({
        messages: [
          { role: "user", content: "zib" },
          { role: "user", content: "quop" },
        ],
      }),
    ).toBe(true);
    expect(refuses({ prompt: "quop", metadata: { reference_image_url: "https://a.example/zib/1.png?token=x" } })).toBe(
      true,
    );
  });

  test("lets requests through that name one of them, or neither", () => {
    expect(refuses({ prompt: "a zib flies a kite" })).toBe(false);
    expect(refuses({ prompt: "a quop" })).toBe(false);
    expect(refuses({ prompt: "a lighthouse at dawn", config: { seed: 12 } })).toBe(false);
    expect(refuses({})).toBe(false);
  });

  test("reads whole words", () => {
    expect(refuses({ prompt: "azib and quopper" })).toBe(false);
    expect(refuses({ prompt: "quop", metadata: { url: "https://a.example/1.png?token=zib" } })).toBe(false);
  });

  test.each([
    "Zib",
    "ZIBS!",
    "z i b",
    "z.i.b",
    "z-ib",
    "z1b",
    "zíb",
    "z\u200bib",
    "zіb",
    "tall  zib",
    "tall-zib",
    "z&#105;b",
    "&#x7A;i&amp;#98;",
  ])("reads %j", (spelling) => expect(refuses({ prompt: `a quop, ${spelling}` })).toBe(true));

  test.each(["aged 12", "12 years old", "12-year-old", "12yo", "a twelve year old", "an 8th grader", "fifth grade"])(
    "reads the age %j",
    (age) => {
      expect(refuses({ prompt: `quop, ${age}` })).toBe(true);
      expect(refuses({ prompt: `a lighthouse, ${age}` })).toBe(false);
    },
  );

  test.each(["aged 18", "25 years old", "a 112 year old oak", "12 years of rain", "graded 5 of 8"])(
    "reads no child's age in %j",
    (age) => expect(refuses({ prompt: `quop, ${age}` })).toBe(false),
  );

  test("reads all texts, however many and however deep they are", () => {
    const prompt = "a zib with a quop";
    expect(refuses({ prompt, config: { tags: Array.from({ length: 5000 }, () => "a") } })).toBe(true);
    expect(refuses({ prompt, config: { tags: Array.from({ length: 5000 }, () => "") } })).toBe(true);
    const deep = Array.from({ length: 20 }).reduce<unknown>((inner) => ({ inner }), "a quop");
    expect(refuses({ prompt: "a zib", metadata: { deep } })).toBe(true);
  });

  test("leaves out the query of an address, and of nothing that only looks like one", () => {
    const text = "https://a.example/1.png?quop,zib";
    expect(refuses({ prompt: text })).toBe(true);
    expect(refuses({ prompt: "a lake", compel_weights: text })).toBe(true);
    expect(refuses({ messages: [{ role: "user", content: text }] })).toBe(true);
    expect(refuses({ prompt: "a lake", config: { image: text, last_frame: text } })).toBe(false);
    expect(refuses({ prompt: "a lake", metadata: { start_reference_url: text } })).toBe(false);
  });

  test("takes a negative prompt for what it keeps out", () => {
    expect(refuses({ prompt: "a zib flies a kite", negative_prompt: "quop" })).toBe(false);
    expect(refuses({ prompt: "quop", negative_prompt: "zib, blurry" })).toBe(false);
    expect(refuses({ prompt: "quop", negative_prompt: "gorm" })).toBe(true);
    expect(refuses({ prompt: "a zib", negative_prompt: "thrax" })).toBe(true);
    expect(refuses({ prompt: "a lighthouse", negative_prompt: "gorm, thrax" })).toBe(false);
  });

  test("takes a negative prompt for a wish where the guidance turns it round", () => {
    const job = { prompt: "quop", negative_prompt: "zib" };
    expect(refuses({ ...job, config: { guidance_scale: 0.5 } })).toBe(true);
    expect(refuses({ ...job, config: { guidance_scale: 7 } })).toBe(false);
  });

  test("refuses every pair of its own terms", () => {
    const own = createMinorsRule();
    const passed = defaultTerms.minors.flatMap((minor, place) =>
      defaultTerms.sexual.flatMap((sexual, other) => {
        const text = `${minor} ${sexual}`.replaceAll("*", "");
        return own({ wanted: [text], unwanted: [] }) ? [] : [`minors ${place}, sexual ${other}`];
      }),
    );
    expect(passed).toEqual([]);
  });

  test.each([
    "a child flies a kite on a beach at dawn",
    "two kid goats on a mountain",
    "a brass sextant on an old map of Essex",
    "baby penguins in the snow",
    "a high school building in autumn light",
  ])("lets %j through", (prompt) => expect(createMinorsRule()(textsOf({ prompt }))).toBe(false));

  test("does not take long for long texts", () => {
    const startedMs = performance.now();
    const long = "a b ".repeat(200_000);
    expect(createMinorsRule()({ wanted: [long, "z".repeat(500_000), "1".repeat(500_000)], unwanted: [long] })).toBe(
      false,
    );
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });
});

describe("the default policy", () => {
  const check = (fields: Readonly<Record<string, unknown>>, options: Partial<DefaultPolicyOptions> = {}) => {
    const job = jobEnvelope.parse({ id: "a", type: "sdxl_image_fast", prompt: "a lighthouse", ...fields });
    return () => defaultPolicy({ terms, ...options }).check({ userId: "ann", claims: {}, job });
  };
  const code = (expected: string) => expect.objectContaining({ code: expected });

  test("lets an ordinary job through", () => {
    expect(check({ priority: -5, bucket: "sdxl_image_fast", negative_prompt: "blurry" })).not.toThrow();
  });

  test("refuses by the rule, and does not repeat what was asked", () => {
    const refused = check({ prompt: "a zib with a quop" });
    expect(refused).toThrow(code("POLICY_REFUSED"));
    expect(refused).not.toThrow(/zib|quop/);
  });

  test("refuses texts that are too long, a priority of one's own, and other people's buckets", () => {
    expect(check({ prompt: "x".repeat(60) }, { maxCharacters: 50 })).toThrow(code("BODY_TOO_LARGE"));
    const tags = Array.from({ length: 1000 }, () => "x");
    expect(check({ metadata: { tags } }, { maxCharacters: 999 })).toThrow(code("BODY_TOO_LARGE"));
    expect(check({ priority: 1 })).toThrow(code("POLICY_REFUSED"));
    expect(check({ priority: 5 }, { highestPriority: 5 })).not.toThrow();
    expect(check({ bucket: "avatars" })).toThrow(code("POLICY_REFUSED"));
    expect(check({ bucket: "avatars" }, { buckets: ["avatars"] })).not.toThrow();
  });
});
