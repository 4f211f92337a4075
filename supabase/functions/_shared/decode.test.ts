import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeElement, maxJobCharacters } from "./decode.ts";

const job = { id: "job-1", type: "sdxl_image_fast", prompt: "a quiet lake", user_id: "user-1" };
const decoded = { ...job, priority: 0, config: {}, metadata: {} };
const json = JSON.stringify(job);

function accepted(raw: unknown) {
  const result = decodeElement(raw);
  if (!result.ok) throw new Error(result.reason);
  return result.job;
}

function refused(raw: unknown) {
  const result = decodeElement(raw);
  if (result.ok) throw new Error(`accepted: ${JSON.stringify(result.job)}`);
  return result;
}

describe("wrappings", () => {
  it.each([
    ["the JSON object", json],
    ["a value that was parsed already", job],
    ["bytes", new TextEncoder().encode(json)],
    ["bytes with a byte order mark", new TextEncoder().encode(`\uFEFF${json}`)],
    ["a text with a byte order mark", `\uFEFF${json}`],
    ["a JSON string", JSON.stringify(json)],
    ["a doubly encoded JSON string", JSON.stringify(JSON.stringify(json))],
    ["a list with the JSON", JSON.stringify([json])],
    ["a list with the doubly encoded JSON", JSON.stringify([JSON.stringify(json)])],
    ["a list with the object", JSON.stringify([job])],
    ["a parsed list", [job]],
    ["data with the JSON", JSON.stringify({ data: json })],
    ["data with the object", JSON.stringify({ data: job })],
    ["a list with data", JSON.stringify([{ data: json }])],
    ["white space around", `\n ${json} \n`],
  ])("%s", (_, raw) => {
    expect(accepted(raw)).toEqual(decoded);
  });

  it("takes a job that has a field `data` for a job", () => {
    expect(accepted({ ...job, data: "{}" })).toMatchObject({ id: "job-1", data: "{}" });
  });

  it.each([
    ["", "the element is empty"],
    ["  ", "the element is empty"],
    ['""', "the element is empty"],
    ["not json", "the element is not JSON"],
    ['{"id":', "the element is not JSON"],
    ['"half"', "the element is not JSON"],
    ["null", "the element holds null, not a job"],
    ["7", "the element holds 7, not a job"],
    ["[]", "the element is a list of 0 entries, not of one job"],
    [JSON.stringify([job, job]), "the element is a list of 2 entries, not of one job"],
    ["[[[[[[[[1]]]]]]]]", "the element is wrapped more than 6 times"],
    ["[".repeat(20_000) + "]".repeat(20_000), "the element is nested deeper than 32 levels"],
    [
      `{"id":"a","type":"t","config":${"[".repeat(40)}${"]".repeat(40)}}`,
      "the element is nested deeper than 32 levels",
    ],
    [`{"id":"a","type":"t","config":{"list":[${"0,".repeat(10_000)}0]}}`, "the element has more than 10,000 values"],
    [JSON.stringify(`[${"0,".repeat(10_000)}0]`), "the element has more than 10,000 values"],
    [`{"id":"a","type":"t",${'"a":0,'.repeat(1_000)}"b":1}`, "the element has more than 1,000 names in one object"],
    [undefined, "the element is not JSON"],
    [10n, "the element is not JSON"],
    [`"${"a".repeat(maxJobCharacters)}"`, "the element has 1,048,578 characters: at most 1,048,576 are read"],
  ])("%#: refuses with a reason", (raw, reason) => {
    const result = refused(raw);
    expect(result.reason).toBe(reason);
    expect(result.rejected).toBeUndefined();
    if (typeof raw === "string") expect(result.raw).toBe(raw);
  });

  it("reads 32 levels and no more", () => {
    const nested = (levels: number) =>
      `{"id":"a","type":"chat","config":{"deep":${"[".repeat(levels)}${"]".repeat(levels)}}}`;
    expect(decodeElement(nested(30)).ok).toBe(true);
    expect(refused(nested(31)).reason).toBe("the element is nested deeper than 32 levels");
  });

  it("refuses a value that contains itself", () => {
    const loop: Record<string, unknown> = { ...job };
    loop.loop = loop;
    expect(refused(loop).reason).toBe("the element is not JSON");
  });
});

describe("keys", () => {
  const bare = { prompt: "a quiet lake" };
  it.each([
    [
      { jobId: "a", jobType: "chat" },
      { id: "a", type: "chat" },
    ],
    [
      { job_id: "a", job_type: "chat" },
      { id: "a", type: "chat" },
    ],
    [
      { id: null, job_id: "a", type: "chat" },
      { id: "a", type: "chat" },
    ],
    [{ id: "a", jobId: "b", job_id: "c", type: "chat" }, { id: "a" }],
    [{ id: "a", type: "video_fast", job_type: "image_fast" }, { type: "video_fast" }],
    [{ id: "a", type: "video_fast", jobType: "image_fast" }, { type: "video_fast" }],
    [{ id: "a", type: "wan_video_fast" }, { type: "video_fast" }],
    [{ id: "a", job_type: "wan_video_high" }, { type: "video_high" }],
    [{ id: "a", type: "toString" }, undefined],
    [{ id: "a", type: "chat", userId: "u" }, { user_id: "u" }],
    [{ id: "a", type: "chat", user_id: "u", userId: "v" }, { user_id: "u" }],
    [{ id: "a", type: "chat", user_id: null }, { user_id: "anonymous" }],
    [{ id: "a", type: "chat", negativePrompt: "fog" }, { negative_prompt: "fog" }],
    [{ id: "a", type: "chat", negative_prompt: "", negativePrompt: "fog" }, { negative_prompt: "" }],
    [
      { id: "a", type: "chat", imageId: "i", videoId: null },
      { image_id: "i", video_id: null },
    ],
    [{ id: "a", type: "chat", referenceImageUrl: "r.png" }, { reference_image_url: "r.png" }],
    [
      { id: "a", type: "chat", priority: null, config: null, metadata: null },
      { priority: 0, config: {}, metadata: {} },
    ],
    [{ id: "a", type: "of_a_deployment" }, { type: "of_a_deployment" }],
    [
      { jobId: 17, type: "chat", userId: 2 ** 53 - 1 },
      { id: "17", user_id: "9007199254740991" },
    ],
  ])("%j", (given, expected) => {
    const result = decodeElement({ ...bare, ...given });
    if (expected === undefined) return expect(result.ok).toBe(false);
    expect(accepted({ ...bare, ...given })).toMatchObject(expected);
    for (const name of ["jobId", "job_id", "jobType", "job_type", "userId", "negativePrompt", "imageId"]) {
      expect(accepted({ ...bare, ...given })).not.toHaveProperty(name);
    }
  });

  it.each([
    [{ type: "chat" }, "the job has no id (id, jobId, job_id)"],
    [{ id: "a" }, "the job has no type (type, jobType, job_type)"],
    [{ id: "a", type: "" }, "the job has no type (type, jobType, job_type)"],
    [{ id: "a", type: 5 }, "the job's type is 5: must be a text"],
    [{}, "the job has no id (id, jobId, job_id)"],
  ])("%j: %s", (given, reason) => {
    const result = refused(given);
    expect(result.reason).toBe(reason);
    expect(result.rejected).toBeUndefined();
  });

  it.each(["../etc", "a/b", "", "a b", "-a", 7.5, -7, 2 ** 53, { a: 1 }, "a".repeat(129), "a\u0000", "__proto__"])(
    "id %j",
    (id) => {
      const result = refused({ ...job, id });
      expect(result.reason).toMatch(/^the job's id is .*: must be 1 to 128 letters/);
      expect(result.rejected).toBeUndefined();
    },
  );
});

describe("a job whose shared fields are wrong", () => {
  it("is rejected with its problems, so that it can be settled as failed", () => {
    const raw = { ...job, priority: 1000, bucket: "a/b", config: [], metadata: { album: "a" } };
    const result = refused(raw);
    expect(result.rejected?.problems.map(({ field }) => field)).toEqual(["priority", "bucket", "config"]);
    expect(result.rejected?.job).toEqual({ ...decoded, metadata: { album: "a" } });
    expect(result.reason).toContain("priority is 1000: ");
  });

  it("keeps the name of a type that cannot be one", () => {
    expect(refused({ ...job, type: "SDXL Fast" }).rejected?.job.type).toBe("SDXL Fast");
  });
});

describe("prototypes", () => {
  it.each([
    '{"id":"a","type":"chat","__proto__":{"polluted":1},"config":{"__proto__":{"polluted":1},"deep":{"__proto__":{"polluted":1}}}}',
    '[{"id":"a","type":"chat","config":{"\\u005f_proto__":{"polluted":1},"deep":{"constructor":{"prototype":{"polluted":1}}}}}]',
  ])("are not changed by %s", (raw) => {
    const result = accepted(raw);
    const deep = Object.assign({}, result.config.deep);
    for (const value of [{}, result, result.config, result.config.deep, deep]) {
      expect(Reflect.get(Object(value), "polluted")).toBeUndefined();
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      expect(Object.hasOwn(Object(value), "__proto__")).toBe(false);
    }
  });
});

describe("properties", () => {
  const runs = { numRuns: 1000 };

  it("never throws and always answers, whatever the text, bytes or value", () => {
    const element = fc.oneof(fc.string({ unit: "binary" }), fc.uint8Array(), fc.json(), fc.anything());
    fc.assert(
      fc.property(element, (raw) => {
        const result = decodeElement(raw);
        if (result.ok) expect(result.job.id).toMatch(/^[A-Za-z0-9]/);
        else expect(result.reason.length).toBeGreaterThan(0);
      }),
      runs,
    );
  });

  it("survives every cut and every changed character of a real element", () => {
    fc.assert(
      fc.property(fc.nat(json.length), fc.string({ unit: "binary", maxLength: 3 }), (at, noise) => {
        expect(typeof decodeElement(json.slice(0, at)).ok).toBe("boolean");
        expect(typeof decodeElement(json.slice(0, at) + noise + json.slice(at + noise.length)).ok).toBe("boolean");
      }),
      runs,
    );
  });

  it("reads the same job through any chain of wrappers", () => {
    const wrappers = {
      text: (value: unknown) => JSON.stringify(value),
      list: (value: unknown) => [value],
      data: (value: unknown) => ({ data: value }),
    };
    const chain = fc.array(fc.constantFrom(...Object.values(wrappers)), { maxLength: 5 });
    fc.assert(
      fc.property(chain, fc.jsonValue({ maxDepth: 4 }), (steps, extra) => {
        const original = { ...job, config: { extra } };
        expect(accepted(steps.reduce<unknown>((value, wrap) => wrap(value), original))).toEqual(accepted(original));
      }),
      runs,
    );
  });

  it("decodes its own output to itself", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (config) => {
        const first = decodeElement({ ...job, config });
        if (first.ok) expect(accepted(JSON.stringify(first.job))).toEqual(first.job);
      }),
      runs,
    );
  });
});
