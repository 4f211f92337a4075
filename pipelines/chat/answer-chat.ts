import type { PipelineHost } from "#pipelines/core/host.ts";
import { type GenerationOutput, runGeneration } from "#pipelines/diffusion/run-generation.ts";
import type { ChatPipeline } from "./pipeline.ts";
import type { ChatInput, ChatRequest, ChatResult, ChatTurn } from "./request.ts";
import { hasAnswers, newestQuestion, remembered, type SessionHost, type SessionJob, withEarlier } from "./session.ts";

/** What {@link answerChat} reads of a job. */
export interface ChatJob extends SessionJob {
  readonly messages?: readonly ChatTurn[] | undefined;
  /** The user's only message, where there are no messages. */
  readonly prompt?: string | undefined;
}

/** How it is to be answered. Names and ranges are checked by who runs the job. */
export interface ChatParameters {
  readonly max_tokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly top_p?: number | undefined;
  readonly top_k?: number | undefined;
  readonly repetition_penalty?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: readonly string[] | undefined;
}

export interface ChatHost extends PipelineHost<ChatParameters>, TextHost, SessionHost {}

export interface TextHost {
  /** For the model's weights; undefined: as the device has room. */
  readonly modelMemoryBytes?: number | undefined;
  /** Receives the answer as it grows. */
  text?(delta: string): void;
}

export interface TextOutput extends GenerationOutput {
  readonly text: string;
}

/** Where neither the job nor the model nor the handler says. */
const defaults = { maxTokens: 512, temperature: 0.7 };

/**
 * Runs a job that is answered with a text: a conversation, or one question. Importing this module loads no model code: that
 * happens when a job runs.
 *
 * A job of a session has its turns before it, unless its messages hold answers and so are the whole conversation; in either case
 * the newest turn is added to the session, when it was answered.
 * @throws what {@link ChatPipeline.load} and {@link ChatPipeline.generate} throw; the signal's reason, within one token
 */
export async function answerChat(job: ChatJob, host: ChatHost): Promise<TextOutput> {
  const own: readonly ChatTurn[] = job.messages ?? [{ role: "user", content: job.prompt ?? "" }];
  const { session_id: session, conversation_context: context } = job.metadata ?? {};
  const parameters = await host.parameters();
  const turns = session === undefined || hasAnswers(own) ? [] : (await host.session(session)).turns;
  const output = await runText({ messages: withEarlier(own, { turns, context }) }, parameters, host);
  if (session === undefined) return output;
  const turn = { session, turns, before: 0, prompt: newestQuestion(own), response: output.text };
  return await remembered(output, turn, host);
}

/** As {@link answerChat}, for whatever a model is to continue. */
export async function runText(
  input: ChatInput,
  parameters: ChatParameters,
  host: PipelineHost & TextHost,
): Promise<TextOutput> {
  const request = requestOf(input, parameters);
  let text = "";
  const slot = async () => (await import("./loaded-pipeline.ts")).loadedChat(host.modelMemoryBytes);
  const output = await runGeneration<ChatPipeline>(host, slot, async ({ pipeline, model, timer }) => {
    const result = await pipeline.generate(request, {
      signal: host.signal,
      onText: (delta) => host.text?.(delta),
      onToken(count) {
        timer.reached(count === 1 ? "prefill" : "generate");
        host.progress(count, request.maxTokens);
      },
    });
    timer.ended("generate");
    text = result.text;
    const dropped = result.droppedTurns + result.droppedExamples;
    if (dropped > 0) host.log.warn({ dropped }, "the oldest turns or examples have no room");
    return report(result, request, model);
  });
  return { ...output, text };
}

function requestOf(input: ChatInput, given: ChatParameters): ChatRequest {
  const limits = {
    maxTokens: given.max_tokens ?? defaults.maxTokens,
    temperature: given.temperature ?? defaults.temperature,
    topP: given.top_p,
    topK: given.top_k,
    repetitionPenalty: given.repetition_penalty,
    seed: given.seed,
    stop: given.stop,
  };
  return { ...limits, ...input };
}

function report(result: ChatResult, { maxTokens, messages }: ChatRequest, model: string) {
  return {
    model,
    max_tokens: maxTokens,
    prompt_tokens: result.promptTokens,
    tokens_generated: result.tokensGenerated,
    finish_reason: result.finishReason,
    dropped_turns: result.droppedTurns,
    ...(messages === undefined ? { dropped_examples: result.droppedExamples } : {}),
    seed: result.seed,
  };
}
