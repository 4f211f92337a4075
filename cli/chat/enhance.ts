import process from "node:process";
import type { AnswerOf } from "#client/http-call.ts";
import type { enhance as enhanceRoute } from "#functions/api/enhance.ts";
import { exitCodes, usageError } from "../errors.ts";
import { Interruption } from "../interruption.ts";
import { note, printResult } from "../output.ts";
import { pipedText, withPipedPrompt } from "../prompts/piped-prompt.ts";
import type { GlobalOptions } from "../settings.ts";
import { withLanguageModel } from "./language-model.ts";

export interface EnhanceOptions extends GlobalOptions {
  readonly preset?: string;
  readonly target?: string;
  readonly base?: boolean;
  readonly model?: string;
  readonly temperature?: number;
  readonly maxTokens?: number;
  readonly seed?: number;
  readonly timeout?: number;
}

type Answer = AnswerOf<typeof enhanceRoute>;

/** The body of `ourvidz enhance`. A prompt that stays as it is is no failure: whoever draws from it can. */
export async function enhance(words: readonly string[], options: EnhanceOptions): Promise<number> {
  const request = requestOf(await promptOf(words), options);
  const interruption = new Interruption();
  try {
    const answer = await withLanguageModel("enhance_instruct", options, (client) =>
      client.enhance(request, { signal: interruption.signal }),
    );
    if (!options.json) note(`${answer.original_prompt} →`);
    printResult(options, answer, answer.enhanced_prompt);
    if (!options.json) for (const line of linesOf(answer)) note(line);
    return exitCodes.completed;
  } catch (error) {
    if (interruption.exitCode === null) throw error;
    return interruption.exitCode;
  } finally {
    interruption.close();
  }
}

async function promptOf(words: readonly string[]): Promise<string> {
  if (words.length > 0) return (await withPipedPrompt(words)).join(" ");
  if (process.stdin.isTTY) throw usageError("There is no prompt: give it as text, or pipe it in.");
  return await pipedText();
}

function requestOf(prompt: string, options: EnhanceOptions) {
  const { preset, target, base, model, temperature, maxTokens, seed, timeout } = options;
  if (target !== undefined && target !== "sdxl" && target !== "wan")
    throw usageError(`--target is "${target}": must be sdxl or wan.`);
  const fields = {
    preset,
    target_model: target,
    enhance_type: base ? "base" : undefined,
    model,
    temperature,
    max_tokens: maxTokens,
    seed,
    enhancement_timeout: timeout,
  };
  return { prompt, ...withoutUndefined(fields) };
}

function linesOf(answer: Answer): string[] {
  const { success, enhancement_source, preset, target_model, model, enhanced_prompt_tokens, fallback_reason } = answer;
  const tokens = enhanced_prompt_tokens === undefined ? [] : [`${enhanced_prompt_tokens} tokens of ${target_model}`];
  const how = [`by ${enhancement_source}`, preset, model, ...tokens, `${answer.processing_time.toFixed(1)} s`];
  return [
    success ? how.filter((part) => part !== undefined).join(", ") : "the prompt stays as it is",
    ...(fallback_reason === undefined ? [] : [`because: ${fallback_reason}`]),
  ];
}

const withoutUndefined = <Fields extends object>(fields: Fields): Partial<Fields> => {
  const given: Partial<Fields> = { ...fields };
  for (const name in given) if (given[name] === undefined) delete given[name];
  return given;
};
