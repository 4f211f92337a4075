import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { presetFile, presetOfRow, presetRow, presetsOfFile, tokenLimits } from "./enhancement-presets.ts";
import { describeProblems, parseWith } from "./problems.ts";

const folder = new URL("./presets/", import.meta.url);
const files = readdirSync(folder).toSorted();

const fox = {
  name: "own",
  description: "Our own.",
  system_prompt: "Write a prompt.",
  targets: { sdxl: { instruction: "Be brief.", examples: [{ idea: "a fox", prompt: "a red fox at dawn" }] } },
};

const row = {
  preset: "wan-nature",
  title: "Nature",
  target_model: "wan",
  system_prompt: "Write a prompt.",
  examples: [{ prompt: "a fox", enhanced_prompt: "a red fox runs at dawn" }],
  max_tokens: 400,
  token_limit: null,
  settings: { temperature: 0.5 },
};

function read(input: unknown) {
  const result = parseWith(presetFile, input);
  if (!result.ok) throw new Error(describeProblems(result.problems));
  return presetsOfFile(result.value);
}

describe("the presets that are shipped", () => {
  it("are these", () => {
    expect(files).toEqual(["cinematic.json", "illustration.json", "nature.json", "photographic.json", "product.json"]);
  });

  it.each(files)("%s is for both targets, brief, and shows what it wants", (file) => {
    const presets = read(JSON.parse(readFileSync(new URL(file, folder), "utf8")));
    expect(presets.map(({ name, target }) => `${name} ${target}`)).toEqual(
      ["sdxl", "wan"].map((target) => `${file.replace(".json", "")} ${target}`),
    );
    for (const preset of presets) {
      expect(preset.tokenLimit).toBe(tokenLimits[preset.target]);
      expect(preset.examples.length).toBeGreaterThanOrEqual(2);
    }
  });
});

it("reads a row of the table, which is for one target", () => {
  const parsed = parseWith(presetRow, row);
  if (!parsed.ok) throw new Error(describeProblems(parsed.problems));
  expect(presetOfRow(parsed.value)).toEqual({
    name: "nature",
    description: "Nature",
    target: "wan",
    system: "Write a prompt.",
    examples: [{ idea: "a fox", prompt: "a red fox runs at dawn" }],
    tokenLimit: 511,
    sampling: { max_tokens: 400, temperature: 0.5 },
  });
  expect(presetOfRow({ ...parsed.value, preset: "sdxl-nature", token_limit: 100 })).toMatchObject({
    name: "sdxl-nature",
    tokenLimit: 100,
  });
});

it.each([
  [{ name: "Own" }, "name", "must be a name of lower-case letters, digits, '-' and '_', at most 64 characters"],
  [{ system_prompt: "  " }, "system_prompt", "must be a text of 1 to 8000 characters"],
  [{ system_prompt: undefined }, "system_prompt", "must be a text of 1 to 8000 characters"],
  [{ targets: {} }, "targets", "must have one of sdxl, wan"],
  [{ targets: { flux: {} } }, "targets", "has unknown keys: flux"],
  [{ targets: { sdxl: { token_limit: 0 } } }, "targets.sdxl.token_limit", "must be a whole number from 1 to 4,096"],
  [
    { targets: { sdxl: { examples: [{ idea: "a" }] } } },
    "targets.sdxl.examples.0.prompt",
    "must be a text of 1 to 4000 characters",
  ],
  [{ sampling: { temperature: 3 } }, "sampling.temperature", "must be a number from 0 to 2"],
  [{ sampling: { heat: 3 } }, "sampling", "has unknown keys: heat"],
  [{ color: "red" }, "job", "has unknown keys: color"],
])("refuses %j", (change, field, message) => {
  const result = parseWith(presetFile, { ...fox, ...change });
  expect(result.ok ? [] : result.problems).toContainEqual(expect.objectContaining({ field, message }));
});
