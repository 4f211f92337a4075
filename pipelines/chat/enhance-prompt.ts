import type { PipelineHost } from "#pipelines/core/host.ts";
import { cleanEnhancement, isEnhanced } from "#pipelines/text/enhancement/clean.ts";
import { fitTokens } from "#pipelines/text/enhancement/fit.ts";
import {
  type EnhancementTarget,
  findPreset,
  type Preset,
  presetMessages,
  presetStops,
  presetText,
} from "#pipelines/text/enhancement/preset.ts";
import { type ChatParameters, runText, type TextHost, type TextOutput } from "./answer-chat.ts";
import type { ChatInput } from "./request.ts";

export interface EnhanceJob {
  readonly prompt: string;
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  readonly metadata?: { readonly conversation_context?: string | undefined } | undefined;
}

export interface EnhanceParameters extends ChatParameters {
  readonly preset?: string | undefined;
  readonly target_model?: EnhancementTarget | undefined;
}

export interface EnhanceHost extends Omit<PipelineHost<EnhanceParameters>, "model">, TextHost {
  /** The job's own model, or the one of this name. */
  model(name?: string): Promise<{ readonly name: string; readonly path: string; readonly version: string }>;
  presets(): Promise<readonly Preset[]>;
}

export interface EnhanceOutput extends TextOutput {
  readonly enhanced_prompt: string;
}

const defaultPreset = "photographic";
const defaults = { max_tokens: 200, temperature: 0.7, top_p: 0.9, repetition_penalty: 1.1 };

/**
 * Makes a fuller prompt of a short one, by the model's chat template.
 * @throws PipelineError INVALID_JOB for a preset that there is none of; what {@link runText} throws
 */
export function enhanceByInstruction(job: EnhanceJob, host: EnhanceHost): Promise<EnhanceOutput> {
  const context = job.metadata?.conversation_context;
  return enhance(job, host, "instruct", (preset) => ({ messages: presetMessages(preset, job.prompt, context) }));
}

/** As {@link enhanceByInstruction}, for models that were never taught to converse: they go on with a list of examples. */
export function enhanceByExamples(job: EnhanceJob, host: EnhanceHost): Promise<EnhanceOutput> {
  return enhance(job, host, "base", (preset) => presetText(preset, job.prompt));
}

async function enhance(
  job: EnhanceJob,
  host: EnhanceHost,
  source: "instruct" | "base",
  inputOf: (preset: Preset) => ChatInput,
): Promise<EnhanceOutput> {
  const parameters = await host.parameters();
  const { preset: name = defaultPreset, target_model: target = "sdxl" } = parameters;
  const preset = findPreset(await host.presets(), name, target);
  const settings = {
    ...settingsOf(job, parameters, preset),
    ...(source === "base" ? { stop: stopsOf(parameters) } : {}),
  };
  const output = await runText(inputOf(preset), settings, host);
  const isCut = output.metadata.finish_reason === "length";
  const clean = cleanEnhancement(output.text, { idea: job.prompt, isCut });
  const fitted = clean === "" ? { text: "" } : await fitToTarget(clean, preset, host);
  const { text, ...tokens } = fitted;
  const metadata = {
    ...output.metadata,
    dropped_examples: droppedExamples(output.metadata),
    ...tokens,
    success: isEnhanced(job.prompt, text),
    original_prompt: job.prompt,
    enhancement_source: source,
    preset: preset.name,
    target_model: target,
    token_limit: preset.tokenLimit,
  };
  return { text, enhanced_prompt: text, metadata };
}

/** An example is two turns of a conversation. */
function droppedExamples({ dropped_examples, dropped_turns }: TextOutput["metadata"]): number {
  return Number(dropped_examples ?? Number(dropped_turns) / 2);
}

const stopsOf = ({ stop = [] }: EnhanceParameters) => [...presetStops, ...stop];

/** What the job says goes first, then the preset, then the model's own and what is usual. */
function settingsOf(job: EnhanceJob, resolved: EnhanceParameters, { sampling }: Preset): EnhanceParameters {
  const given = Object.entries(resolved).filter(([, value]) => value !== undefined);
  const explicit = given.filter(([name]) => (job.config?.[name] ?? null) !== null);
  const chosen = Object.entries(sampling).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given), ...Object.fromEntries(chosen), ...Object.fromEntries(explicit) };
}

/** Without a model of the target here, its tokens cannot be counted: the prompt stays as long as it is. */
async function fitToTarget(prompt: string, { target, tokenLimit }: Preset, host: EnhanceHost) {
  const { tokenCounter } = await import("#pipelines/text/enhancement/token-counter.ts");
  try {
    const count = await tokenCounter(target, await host.model(target));
    const { text, tokens, cutTokens } = fitTokens(prompt, tokenLimit, count);
    return { text, enhanced_prompt_tokens: tokens, enhanced_prompt_tokens_cut: cutTokens };
  } catch (error) {
    host.log.info({ err: error, target }, "the tokens of the enhanced prompt are not counted");
    return { text: prompt };
  }
}
