import { describe, expect, it } from "vitest";
import { checkJob } from "./check-job.ts";
import { loraChoices, parseMultipliers, shownSource } from "./loras.ts";
import { resolveParameters } from "./parameters.ts";
import { sdxlGenerateParameters, sdxlJob } from "./sdxl.ts";

const base = { num_inference_steps: 4, guidance_scale: 5 };
const chosen = (config: Record<string, unknown>) =>
  resolveParameters(sdxlGenerateParameters, { explicit: { ...base, ...config } }).values.loras;
const problemsOf = (config: Record<string, unknown>) => {
  const checked = checkJob(
    { input: sdxlJob, parameters: sdxlGenerateParameters },
    { id: "a", type: "sdxl_generate", user_id: "ada", prompt: "a red apple", config: { ...base, ...config } },
  );
  return checked.ok ? [] : checked.problems.map(({ field, message }) => `${field} ${message}`);
};

describe("multipliers", () => {
  it("are parted by white space, phases by semicolons, steps by commas; lines of comment are left out", () => {
    expect(parseMultipliers("1 0.5;0.8\n# one for the end\n  -1,0.5,.25 +2")).toEqual([
      [[1]],
      [[0.5], [0.8]],
      [[-1, 0.5, 0.25]],
      [[2]],
    ]);
    expect(parseMultipliers("")).toEqual([]);
  });

  it.each(["one", "1;;2", "1,", "11", "NaN", "1e9", "0x1"])("%s is none", (text) => {
    expect(parseMultipliers(text)).toBeNull();
  });

  it("are the same when they are written and read again", () => {
    let state = 7;
    const next = (below: number) => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state % below;
    };
    for (let round = 0; round < 300; round++) {
      const files = Array.from({ length: 1 + next(4) }, () =>
        Array.from({ length: 1 + next(3) }, () => Array.from({ length: 1 + next(4) }, () => (next(2001) - 1000) / 100)),
      );
      const text = files.map((phases) => phases.map((steps) => steps.join(",")).join(";")).join(" ");
      expect(parseMultipliers(text)).toEqual(files);
    }
  });
});

describe("LoRA files of a job", () => {
  it.each([
    ["loras", { loras: [{ path: "watercolour", scale: 0.8 }] }, [{ source: "watercolour", phases: [[0.8]] }]],
    ["one", { loras: { path: "watercolour" } }, [{ source: "watercolour", phases: [[1]] }]],
    [
      "names",
      { loras: ["watercolour", "ink"] },
      [
        { source: "watercolour", phases: [[1]] },
        { source: "ink", phases: [[1]] },
      ],
    ],
    [
      "activated_loras, a list",
      { activated_loras: ["a", "b"], loras_multipliers: "0.5" },
      [
        { source: "a", phases: [[0.5]] },
        { source: "b", phases: [[1]] },
      ],
    ],
    [
      "activated_loras, a text",
      { activated_loras: "a, b", loras_multipliers: "0.5 0" },
      [
        { source: "a", phases: [[0.5]] },
        { source: "b", phases: [[0]] },
      ],
    ],
    [
      "additional_loras",
      { additional_loras: { "https://a.example/x.safetensors?token=1": 0.3 } },
      [{ source: "https://a.example/x.safetensors?token=1", phases: [[0.3]] }],
    ],
    [
      "all of them",
      { loras: ["a"], activated_loras: ["b"], additional_loras: { c: -1 } },
      [
        { source: "a", phases: [[1]] },
        { source: "b", phases: [[1]] },
        { source: "c", phases: [[-1]] },
      ],
    ],
    ["none", {}, undefined],
    ["nothing", { loras: [], activated_loras: "", additional_loras: {} }, []],
  ])("%s", (_what, config, expected) => {
    expect(chosen(config)).toEqual(expected);
    expect(problemsOf(config)).toEqual([]);
  });

  it.each([
    [{ loras: [{ path: "a", scale: 11 }] }, /config.loras must be a list of files/],
    [{ loras: [{ scale: 1 }] }, /config.loras must be a list of files/],
    [{ loras: 7 }, /config.loras must be a list of files/],
    [{ loras: [{ path: "a", scale: "strong" }] }, /config.loras must be a list of files/],
    [{ loras: ["a", { path: "a" }] }, /must name each file once; "a" is there twice/],
    [{ loras: Array.from({ length: 9 }, (_, index) => `style-${index}`) }, /must be at most 8 files/],
    [
      { loras: [{ path: "a", scale: "1;0.5" }] },
      /must have one strength for each file, with white space between .*"1 0\.5"/,
    ],
    [{ activated_loras: ["a"], loras_multipliers: "1 1" }, /must not have more multipliers \(2\) than files \(1\)/],
    [{ activated_loras: ["a"], loras_multipliers: "much" }, /must have multipliers such as/],
    [{ additional_loras: ["a"] }, /must be an object of files and their strengths/],
    [{ additional_loras: { a: "x" } }, /must have a name or https address/],
  ])("refused: %j", (config, message) => {
    expect(problemsOf(config).join()).toMatch(message);
  });

  it("are refused at once however long they are", () => {
    const digits = "1".repeat(200_000);
    const start = performance.now();
    for (const config of [
      { loras: [{ path: "a", scale: digits }] },
      { activated_loras: ["a"], loras_multipliers: digits },
      { additional_loras: { a: digits } },
      { activated_loras: `a${",".repeat(200_000)}`, loras_multipliers: " ".repeat(9000) },
    ]) {
      problemsOf(config);
    }
    // Seconds to hours, where a pattern tries all ways to part the digits.
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it("are refused with a password in their address, which would be shown", () => {
    expect(problemsOf({ loras: ["https://ann:secret@a.example/x.safetensors"] }).join()).toMatch(
      /must be a list of files/,
    );
    expect(problemsOf({ loras: ["https://a.example/x@y.safetensors"] })).toEqual([]);
  });

  it("are read from what they were made of as the same", () => {
    const first = chosen({ activated_loras: "a,b", loras_multipliers: "0.5 0.25" });
    expect(loraChoices.parse(first)).toEqual(first);
  });
});

it("shows a source without the query of its address", () => {
  expect(shownSource("https://a.example/x.safetensors?token=secret#a")).toBe("https://a.example/x.safetensors");
  expect(shownSource("ink #2")).toBe("ink #2");
});
