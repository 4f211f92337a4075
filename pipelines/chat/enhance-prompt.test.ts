import { describe, expect, it } from "vitest";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import type { Preset } from "#pipelines/text/enhancement/preset.ts";
import { type EnhanceHost, type EnhanceParameters, enhanceByExamples, enhanceByInstruction } from "./enhance-prompt.ts";
import type { SessionTurn } from "./session.ts";

const path = new URL("fixtures/tiny-qwen2", import.meta.url).pathname;

const preset: Preset = {
  name: "photographic",
  target: "sdxl",
  system: "You write prompts.",
  examples: [],
  tokenLimit: 75,
  sampling: { temperature: 0, max_tokens: 7 },
};

/** Of 40 tokens and more each. */
const examples = ["a boat", "a hill", "a bird", "a gate", "a tree", "a lake"].map((idea) => ({
  idea,
  prompt: `${idea} at first light, fine mist above the fields, long shadows, calm colours`,
}));

interface Setting {
  readonly hasTarget?: boolean;
  readonly examples?: Preset["examples"];
}

function hostOf(parameters: EnhanceParameters, { hasTarget = true, examples = [] }: Setting = {}): EnhanceHost {
  const own = { ...preset, examples };
  return {
    signal: new AbortController().signal,
    log: { info() {}, warn() {} },
    progress() {},
    parameters: async () => parameters,
    presets: async () => [own, { ...preset, name: "brief", tokenLimit: 3 }],
    async model(name) {
      if (name === undefined) return { name: "tiny-qwen2", path, version: "1" };
      if (!hasTarget) throw new Error("no such model");
      return { name, path: tinySdxl, version: "1" };
    },
    asset: async () => undefined,
    session: async () => ({ turns: [] }),
    remember: async () => ({ isCut: false }),
  };
}

it.each([
  ["instruct", enhanceByInstruction],
  ["base", enhanceByExamples],
] as const)("answers with the prompt, what it was made by, and its tokens (%s)", async (source, enhance) => {
  const { text, enhanced_prompt, metadata } = await enhance({ prompt: "a fox" }, hostOf({}));
  expect(enhanced_prompt).toBe(text);
  expect(text).not.toBe("");
  expect(metadata).toMatchObject({
    success: true,
    original_prompt: "a fox",
    enhancement_source: source,
    preset: "photographic",
    target_model: "sdxl",
    token_limit: 75,
    model: "tiny-qwen2",
    enhanced_prompt_tokens: expect.any(Number),
    enhanced_prompt_tokens_cut: 0,
    finish_reason: "length",
    max_tokens: 7,
  });
});

it("takes settings from the job, then the preset, then the model, then what is usual", async () => {
  const config = { max_tokens: 3 };
  const resolved = { max_tokens: 3, temperature: 1, seed: 5 };
  const { metadata } = await enhanceByInstruction({ prompt: "a fox", config }, hostOf(resolved));
  expect(metadata).toMatchObject({ max_tokens: 3, tokens_generated: 3, seed: 5 });
  const greedy = await enhanceByInstruction({ prompt: "a fox", config }, hostOf({ ...resolved, seed: 6 }));
  // The preset's temperature of 0 goes before the model's: the seed plays no part.
  expect(greedy.text).toBe((await enhanceByInstruction({ prompt: "a fox", config }, hostOf(resolved))).text);
});

it("shortens what the target's tokenizer counts as too long", async () => {
  const { metadata } = await enhanceByInstruction({ prompt: "a fox" }, hostOf({ preset: "brief" }));
  expect(metadata.enhanced_prompt_tokens).toBeLessThanOrEqual(3);
  expect(metadata.enhanced_prompt_tokens_cut).toBeGreaterThan(0);
});

it("counts no tokens of a target that is not here", async () => {
  const { text, metadata } = await enhanceByInstruction({ prompt: "a fox" }, hostOf({}, { hasTarget: false }));
  expect(text).not.toBe("");
  expect(metadata).not.toHaveProperty("enhanced_prompt_tokens");
});

it.each([
  ["instruct", enhanceByInstruction],
  ["base", enhanceByExamples],
] as const)(
  "leaves out the oldest examples where the context is small, and reports how many (%s)",
  async (_, enhance) => {
    const { text, metadata } = await enhance({ prompt: "a fox" }, hostOf({}, { examples }));
    const dropped = Number(metadata.dropped_examples);
    expect(dropped).toBeGreaterThan(0);
    expect(dropped).toBeLessThan(examples.length);
    const newest = await enhance({ prompt: "a fox" }, hostOf({}, { examples: examples.slice(dropped) }));
    expect(newest.metadata).toMatchObject({ dropped_examples: 0, prompt_tokens: metadata.prompt_tokens });
    expect(newest.text).toBe(text);
    // One more had no room: the model reads 256 tokens, its answer of seven among them.
    const more = await enhance({ prompt: "a fox" }, hostOf({}, { examples: examples.slice(dropped - 1) }));
    expect(more.metadata).toMatchObject({ dropped_examples: 1, prompt_tokens: metadata.prompt_tokens });
  },
);

it("refuses a preset that is not there, and names those that are", async () => {
  await expect(enhanceByInstruction({ prompt: "a fox" }, hostOf({ preset: "nature" }))).rejects.toMatchObject({
    code: "INVALID_JOB",
    message: 'config.preset is "nature": must be one of "brief", "photographic" for sdxl',
  });
});

describe("a session", () => {
  const metadata = { session_id: "animals" };
  const turns = [{ prompt: "a fox", response: "a fox in the snow" }];

  function hostWith(more: Setting = {}) {
    const added: [string, SessionTurn][] = [];
    const host: EnhanceHost = {
      ...hostOf({}, more),
      session: async (id) => ({ turns: id === "animals" ? turns : [] }),
      async remember(id, turn) {
        added.push([id, turn]);
        return { isCut: false };
      },
    };
    return { host, added };
  }

  it("goes on with the conversation, and has the fuller prompt afterwards", async () => {
    const { host, added } = hostWith();
    const { text, metadata: report } = await enhanceByInstruction({ prompt: "make it red", metadata }, host);
    expect(report).toMatchObject({
      success: true,
      enhancement_source: "chat",
      session_turns: 1,
      session_turns_dropped: 0,
      session_turn_cut: false,
    });
    const alone = await enhanceByInstruction({ prompt: "make it red" }, hostOf({}));
    expect(Number(report.prompt_tokens)).toBeGreaterThan(Number(alone.metadata.prompt_tokens));
    expect(added).toEqual([["animals", { prompt: "make it red", response: text }]]);
  });

  it("has nothing of a prompt that did not become a fuller one", async () => {
    const { host, added } = hostWith();
    const stop = ["a", "e", "i", "o", "u", " "];
    const parameters = async () => ({ max_tokens: 1, stop });
    const { metadata: report } = await enhanceByInstruction({ prompt: "a fox", metadata }, { ...host, parameters });
    expect(report).toMatchObject({ success: false, session_turns: 1 });
    expect(added).toEqual([]);
  });

  it("loses its turns after the preset's examples", async () => {
    const { host } = hostWith({ examples });
    const { metadata: report } = await enhanceByInstruction({ prompt: "make it red", metadata }, host);
    expect(Number(report.dropped_examples)).toBeGreaterThan(0);
    expect(report).toMatchObject({ session_turns: 1, session_turns_dropped: 0 });
  });

  it("is nothing for a model that goes on with examples", async () => {
    const { host, added } = hostWith();
    const { metadata: report } = await enhanceByExamples({ prompt: "a fox", metadata }, host);
    expect(report.enhancement_source).toBe("base");
    expect(added).toEqual([]);
  });
});
