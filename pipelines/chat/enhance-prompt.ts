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
import {
  messagesOfTurns,
  readReport,
  remembered,
  type SessionHost,
  type SessionJob,
  type SessionTurn,
} from "./session.ts";

export interface EnhanceJob extends SessionJob {
  readonly prompt: string;
  readonly config?: Readonly<Record<string, unknown>> | undefined;
}

export interface EnhanceParameters extends ChatParameters {
  readonly preset?: string | undefined;
  readonly target_model?: EnhancementTarget | undefined;
}

export interface EnhanceHost extends Omit<PipelineHost<EnhanceParameters>, "model">, TextHost, SessionHost {
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
 * Makes a fuller prompt of a short one, by the model's chat template. In a session it goes on with the conversation, and is
 * remembered when it is a fuller one.
 * @throws PipelineError INVALID_JOB for a preset that there is none of; what {@link runText} throws
 */
export function enhanceByInstruction(job: EnhanceJob, host: EnhanceHost): Promise<EnhanceOutput> {
  return enhance(job, host, "instruct");
}

/** As {@link enhanceByInstruction}, for models that were never taught to converse: they go on with a list of examples. */
export function enhanceByExamples(job: EnhanceJob, host: EnhanceHost): Promise<EnhanceOutput> {
  return enhance(job, host, "base");
}

async function enhance(job: EnhanceJob, host: EnhanceHost, way: "instruct" | "base"): Promise<EnhanceOutput> {
  const parameters = await host.parameters();
  const { preset: name = defaultPreset, target_model: target = "sdxl" } = parameters;
  const preset = findPreset(await host.presets(), name, target);
  const session = way === "instruct" ? job.metadata?.session_id : undefined;
  const turns = session === undefined ? [] : (await host.session(session)).turns;
  const settings = {
    ...settingsOf(job, parameters, preset),
    ...(way === "base" ? { stop: stopsOf(parameters) } : {}),
  };
  const output = await runText(inputOf(way, preset, job, turns), settings, host);
  const isCut = output.metadata.finish_reason === "length";
  const clean = cleanEnhancement(output.text, { idea: job.prompt, isCut });
  const fitted = clean === "" ? { text: "" } : await fitToTarget(clean, preset, host);
  const { text, ...tokens } = fitted;
  const success = isEnhanced(job.prompt, text);
  const metadata = {
    ...output.metadata,
    dropped_examples: droppedExamples(output.metadata, preset),
    ...tokens,
    success,
    original_prompt: job.prompt,
    enhancement_source: session === undefined ? way : "chat",
    preset: preset.name,
    target_model: target,
    token_limit: preset.tokenLimit,
  };
  const enhanced = { text, enhanced_prompt: text, metadata };
  if (session === undefined) return enhanced;
  const before = preset.examples.length * 2;
  if (!success) return { ...enhanced, metadata: { ...metadata, ...readReport(output, turns, before) } };
  return await remembered(enhanced, { session, turns, before, prompt: job.prompt, response: text }, host);
}

function inputOf(
  way: "instruct" | "base",
  preset: Preset,
  { prompt, metadata }: EnhanceJob,
  turns: readonly SessionTurn[],
): ChatInput {
  if (way === "base") return presetText(preset, prompt);
  const context = metadata?.conversation_context;
  return { messages: presetMessages(preset, prompt, { context, earlier: messagesOfTurns(turns) }) };
}

/** An example is two messages of a conversation, which go before those of its session. */
function droppedExamples({ dropped_examples, dropped_turns }: TextOutput["metadata"], { examples }: Preset): number {
  return Number(dropped_examples ?? Math.min(examples.length, Number(dropped_turns) / 2));
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
