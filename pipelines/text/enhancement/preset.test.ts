import { expect, it } from "vitest";
import { findPreset, type Preset, presetMessages, presetText } from "./preset.ts";

const own: Preset = {
  name: "own",
  target: "sdxl",
  system: "Write a prompt.",
  examples: [{ idea: "a fox", prompt: "a red fox at dawn" }],
  tokenLimit: 75,
  sampling: {},
};

it("makes messages and a text of a preset", () => {
  expect(presetMessages(own, "a bear")).toEqual([
    { role: "system", content: "Write a prompt." },
    { role: "user", content: "a fox" },
    { role: "assistant", content: "a red fox at dawn" },
    { role: "user", content: "a bear" },
  ]);
  expect(presetText(own, " a bear\nin snow ")).toEqual({
    lead: "Write a prompt.\n\n",
    examples: ["Idea: a fox\nPrompt: a red fox at dawn\n\n"],
    prompt: "Idea: a bear in snow\nPrompt:",
  });
});

it("adds what was said before to the system prompt", () => {
  expect(presetMessages(own, "a bear", { context: "It is winter." })[0]).toEqual({
    role: "system",
    content: "Write a prompt.\n\nWhat was said before:\nIt is winter.",
  });
});

it("finds a preset by name and target, and says which there are", () => {
  const presets = [own, { ...own, name: "other" }];
  expect(findPreset(presets, "own", "sdxl")).toBe(own);
  expect(() => findPreset(presets, "none", "sdxl")).toThrow(
    expect.objectContaining({
      code: "INVALID_JOB",
      message: 'config.preset is "none": must be one of "other", "own" for sdxl',
    }),
  );
  expect(() => findPreset(presets, "own", "wan")).toThrow('config.preset is "own": there is none for wan');
});
