import type { ChatText, ChatTurn } from "#pipelines/chat/request.ts";
import { withContext } from "#pipelines/chat/session.ts";
import { invalidJob } from "#pipelines/core/errors.ts";

/** Models that enhanced prompts are for. */
export type EnhancementTarget = "sdxl" | "wan";

/** How a short idea becomes a fuller prompt for one target. What files and tables hold is checked by who reads them. */
export interface Preset {
  readonly name: string;
  readonly target: EnhancementTarget;
  readonly system: string;
  readonly examples: readonly { readonly idea: string; readonly prompt: string }[];
  /** Tokens of the target's own tokenizer, begin and end left out. */
  readonly tokenLimit: number;
  /** How the language model draws its answer; what is left out is the model's own. */
  readonly sampling: {
    readonly max_tokens?: number | undefined;
    readonly temperature?: number | undefined;
    readonly top_p?: number | undefined;
    readonly top_k?: number | undefined;
    readonly repetition_penalty?: number | undefined;
  };
}

/**
 * The preset of this name for a target.
 * @throws PipelineError INVALID_JOB with the names that there are
 */
export function findPreset(presets: readonly Preset[], name: string, target: EnhancementTarget): Preset {
  const found = presets.find((preset) => preset.name === name && preset.target === target);
  if (found !== undefined) return found;
  const names = presets.filter((preset) => preset.target === target).map((preset) => JSON.stringify(preset.name));
  const known = names.length === 0 ? "there is none" : `must be one of ${names.toSorted().join(", ")}`;
  throw invalidJob(`config.preset is ${JSON.stringify(name.slice(0, 64))}: ${known} for ${target}`);
}

/**
 * What a model with a chat template is given: the system prompt, the examples as turns, the idea as the newest turn.
 * @param earlier messages of a conversation that the idea belongs to
 */
export function presetMessages(
  { system, examples }: Preset,
  idea: string,
  { context, earlier = [] }: { readonly context?: string | undefined; readonly earlier?: readonly ChatTurn[] } = {},
): ChatTurn[] {
  return [
    { role: "system", content: withContext(system, context) },
    ...examples.flatMap((example): ChatTurn[] => [
      { role: "user", content: example.idea },
      { role: "assistant", content: example.prompt },
    ]),
    ...earlier,
    { role: "user", content: idea },
  ];
}

/** Where a base model's answer to {@link presetText} ends. */
export const presetStops = ["\n"] as const;

/** What a model without a template goes on with: the same as one text. */
export function presetText({ system, examples }: Preset, idea: string): ChatText {
  return {
    lead: `${system}\n\n`,
    examples: examples.map((example) => `Idea: ${example.idea}\nPrompt: ${example.prompt}\n\n`),
    prompt: `Idea: ${oneLine(idea)}\nPrompt:`,
  };
}

const oneLine = (text: string) => text.replace(/\s+/gu, " ").trim();
