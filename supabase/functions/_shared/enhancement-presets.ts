import { z } from "zod";
import { listed, numberFrom, wholeNumberFrom } from "./fields.ts";
import { optional } from "./job.ts";

/*
 * What "enhance" means is data: a preset says how a short idea becomes a fuller prompt. One preset is one JSON file, whose
 * name is the preset's, or rows of the view ourvidz_enhancement_presets, one for each target.
 */

/** Models that enhanced prompts are for. */
export const enhancementTargets = ["sdxl", "wan"] as const;
export type EnhancementTarget = (typeof enhancementTargets)[number];

/**
 * Tokens that a target reads whole, begin and end left out: one chunk of CLIP's 77, and UMT5's 512. SDXL reads longer
 * prompts in several chunks, each of which weakens the others.
 */
export const tokenLimits: Readonly<Record<EnhancementTarget, number>> = { sdxl: 75, wan: 511 };

const nameRule = "must be a name of lower-case letters, digits, '-' and '_', at most 64 characters";
export const presetName = z.string(nameRule).regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, nameRule);

function text(maxCharacters: number) {
  const error = `must be a text of 1 to ${maxCharacters} characters`;
  return z.string(error).trim().min(1, error).max(maxCharacters, error);
}

const example = z.strictObject({ idea: text(1000), prompt: text(4000) });

const examples = z.array(example, "must be a list of examples").max(8, "must be at most 8 examples").default([]);

/** How the language model draws its answer; what is left out is the model's own. */
export const presetSampling = z.strictObject({
  /** Tokens of the language model. */
  max_tokens: optional(wholeNumberFrom(1, 2048)),
  temperature: optional(numberFrom(0, 2)),
  top_p: optional(numberFrom(0, 1)),
  top_k: optional(wholeNumberFrom(0, 1000)),
  repetition_penalty: optional(numberFrom(0.5, 2)),
});

export type PresetSampling = z.output<typeof presetSampling>;

const targetPart = z.strictObject({
  /** Follows the system prompt. */
  instruction: text(2000).optional(),
  /** Tokens of the target's own tokenizer, begin and end left out. */
  token_limit: optional(wholeNumberFrom(1, 4096)),
  examples,
});

/** A preset as a file holds it. */
export const presetFile = z.strictObject({
  name: presetName,
  description: text(300),
  system_prompt: text(8000),
  targets: z
    .strictObject({ sdxl: targetPart.optional(), wan: targetPart.optional() })
    .refine((targets) => enhancementTargets.some((target) => targets[target] !== undefined), {
      error: `must have one of ${enhancementTargets.join(", ")}`,
    }),
  sampling: presetSampling.default({}),
});

export type PresetFile = z.output<typeof presetFile>;

/** A preset for one target, ready for use. */
export interface Preset {
  readonly name: string;
  readonly description: string;
  readonly target: EnhancementTarget;
  readonly system: string;
  readonly examples: readonly { readonly idea: string; readonly prompt: string }[];
  /** Tokens of the target's own tokenizer, begin and end left out. */
  readonly tokenLimit: number;
  readonly sampling: PresetSampling;
}

/** The preset of a file for each target that it names. */
export function presetsOfFile(file: PresetFile): Preset[] {
  const { name, description, system_prompt, sampling, targets } = file;
  return enhancementTargets.flatMap((target) => {
    const part = targets[target];
    if (part === undefined) return [];
    const system = part.instruction === undefined ? system_prompt : `${system_prompt} ${part.instruction}`;
    const tokenLimit = part.token_limit ?? tokenLimits[target];
    return [{ name, description, target, system, examples: part.examples, tokenLimit, sampling }];
  });
}

const rowExample = z.object({ prompt: text(1000), enhanced_prompt: text(4000) }, "must be an object");

/** A row of the view ourvidz_enhancement_presets. */
export const presetRow = z.object(
  {
    preset: presetName,
    title: text(300),
    target_model: z.enum(enhancementTargets, { error: `must be ${listed(enhancementTargets)}` }),
    system_prompt: text(8000),
    examples: z.array(rowExample, "must be a list of examples").max(8, "must be at most 8 examples"),
    /** Tokens of the language model. */
    max_tokens: wholeNumberFrom(1, 2048),
    /** Tokens of the target's own tokenizer. */
    token_limit: optional(wholeNumberFrom(1, 4096)),
    settings: presetSampling,
  },
  "must be an object",
);

export type PresetRow = z.output<typeof presetRow>;

/** The preset of a row. Its name is the row's, without the target before it: `sdxl-nature` and `wan-nature` are both `nature`. */
export function presetOfRow(row: PresetRow): Preset {
  const { preset, target_model: target, examples: pairs, max_tokens, settings } = row;
  const name = preset.startsWith(`${target}-`) ? preset.slice(target.length + 1) : preset;
  return {
    name,
    description: row.title,
    target,
    system: row.system_prompt,
    examples: pairs.map((pair) => ({ idea: pair.prompt, prompt: pair.enhanced_prompt })),
    tokenLimit: row.token_limit ?? tokenLimits[target],
    sampling: { max_tokens, ...settings },
  };
}
