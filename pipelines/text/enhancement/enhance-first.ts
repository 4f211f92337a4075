import { setTimeout } from "node:timers/promises";
import { isEnhanced } from "./clean.ts";
import { type CountTokens, type FittedPrompt, fitTokens } from "./fit.ts";
import type { EnhancementTarget } from "./preset.ts";

/*
 * A job whose prompt is rewritten before it runs: a language model is called on its own executor, by way of
 *
 *   enhance_instruct ──► enhance_base ──► the prompt as it is
 *
 * each twice at most, within one time limit. No failure of it is a failure of the job: the callback says what happened.
 */

type Link = "enhance_instruct" | "enhance_base";

/** The job types that {@link enhanceFirst} calls: what a handler that uses it declares in `calls`. */
export const enhancementCalls: readonly Link[] = ["enhance_instruct", "enhance_base"];

type EnhancementType = "base" | "chat" | "instruct_chat";

interface EnhancingJob {
  readonly prompt: string;
  readonly metadata?:
    | {
        readonly enhancement_type?: EnhancementType | undefined;
        readonly session_id?: string | undefined;
        readonly conversation_context?: string | undefined;
      }
    | undefined;
}

interface EnhancingParameters {
  readonly enhance_prompt?: boolean | undefined;
  readonly preset?: string | undefined;
  /** Seconds for all calls together, the waiting for the model included. */
  readonly enhancement_timeout?: number | undefined;
}

interface Answer {
  readonly enhanced_prompt?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

interface EnhancingHost {
  readonly signal: AbortSignal;
  readonly log: { warn(fields: Readonly<Record<string, unknown>>, message: string): void };
  stage?(stage: { readonly name: string; readonly seconds: number }): void;
  parameters(): Promise<EnhancingParameters>;
  model(): Promise<{ readonly path: string; readonly version: string }>;
  /** Set where a command runs the job: its model has no folder here. */
  readonly engine?: unknown;
  call(
    type: string,
    job: Readonly<Record<string, unknown>>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Answer>;
}

interface Output {
  readonly metadata: Readonly<Record<string, unknown>>;
}

const defaultTimeoutSeconds = 120;
const attemptsPerLink = 2;
const pauseMs = 500;

/**
 * A handler's `run` before which the prompt is enhanced where `config.enhance_prompt` says so. Fails only as `run` does, and
 * with the signal's reason.
 */
export function enhanceFirst<Job extends { readonly prompt: string }, Host>(
  run: (job: Job, host: Host) => Promise<Output>,
  target: EnhancementTarget,
): (job: Job & EnhancingJob, host: Host & EnhancingHost) => Promise<Output & { readonly enhanced_prompt?: string }> {
  return async (job, host) => {
    const own: EnhancingHost = host;
    const parameters = await own.parameters();
    if (parameters.enhance_prompt !== true || job.prompt.trim() === "") return run(job, host);
    const start = performance.now();
    const found = await enhance({ job, host: own, parameters, target });
    const seconds = (performance.now() - start) / 1000;
    own.stage?.({ name: "enhance", seconds });
    const output = await run({ ...job, prompt: found.prompt ?? job.prompt }, host);
    const report = {
      ...found.report,
      original_prompt: job.prompt,
      enhancement_time: Math.round(seconds * 1000) / 1000,
    };
    const enhanced = found.prompt === undefined ? {} : { enhanced_prompt: found.prompt };
    return { ...output, ...enhanced, metadata: { ...output.metadata, ...report, ...enhanced } };
  };
}

interface Enhancing {
  readonly job: EnhancingJob;
  readonly host: EnhancingHost;
  readonly parameters: EnhancingParameters;
  readonly target: EnhancementTarget;
}

interface Found {
  /** Absent: the job's own is used. */
  readonly prompt?: string;
  readonly report: Readonly<Record<string, unknown>>;
}

async function enhance(enhancing: Enhancing): Promise<Found> {
  const { job, host, parameters, target } = enhancing;
  const type = job.metadata?.enhancement_type ?? "instruct_chat";
  const timeout = AbortSignal.timeout((parameters.enhancement_timeout ?? defaultTimeoutSeconds) * 1000);
  const signal = AbortSignal.any([host.signal, timeout]);
  const hasNoSession = type === "chat" && job.metadata?.session_id === undefined;
  const failures = hasNoSession ? ["there is no metadata.session_id whose conversation could go on"] : [];
  for (const link of type === "base" || hasNoSession ? baseAlone : enhancementCalls) {
    const answer = await answerOf(link, { ...enhancing, type, signal, failures });
    host.signal.throwIfAborted();
    if (answer !== undefined) {
      const { preset, model, token_limit, ...rest } = answer.metadata ?? {};
      const fitted = await fitPrompt(answer.prompt, token_limit, host, target);
      const tokens = { enhanced_prompt_tokens: fitted.tokens, enhanced_prompt_tokens_cut: fitted.cutTokens };
      const taken = { enhancement_type: takenBy(link, type), enhancement_preset: preset, enhancement_model: model };
      const session = { session_turns: rest.session_turns, session_turns_dropped: rest.session_turns_dropped };
      const report = {
        ...taken,
        ...withoutUndefined(tokens),
        ...withoutUndefined(session),
        ...success(true, failures),
      };
      return { prompt: fitted.text, report };
    }
    if (timeout.aborted) break;
  }
  host.log.warn({ reason: failures.join("; ") }, "the prompt is used as it is: it could not be enhanced");
  return { report: { enhancement_type: type, ...success(false, failures) } };
}

const baseAlone: readonly Link[] = ["enhance_base"];

function takenBy(link: Link, type: EnhancementType): EnhancementType {
  if (link === "enhance_base") return "base";
  return type === "base" ? "instruct_chat" : type;
}

function success(enhancement_success: boolean, failures: readonly string[]): Readonly<Record<string, unknown>> {
  return failures.length === 0
    ? { enhancement_success }
    : { enhancement_success, fallback_reason: failures.join("; ") };
}

interface Trying extends Enhancing {
  readonly type: EnhancementType;
  /** Ends with the job, and when the time for enhancing is over. */
  readonly signal: AbortSignal;
  /** Sentences, for the callback. */
  readonly failures: string[];
}

interface EnhancedAnswer {
  readonly prompt: string;
  readonly metadata: Answer["metadata"];
}

async function answerOf(link: Link, trying: Trying): Promise<EnhancedAnswer | undefined> {
  for (let attempt = 1; attempt <= attemptsPerLink && !trying.signal.aborted; attempt += 1) {
    if (attempt > 1) await pause(trying.signal);
    try {
      const { enhanced_prompt: prompt = "", metadata } = await called(link, trying);
      if (isEnhanced(trying.job.prompt, prompt)) return { prompt, metadata };
      trying.failures.push(`${link} changed nothing`);
    } catch (error) {
      trying.host.signal.throwIfAborted();
      const { message, isFinal } = failureOf(error, trying.signal);
      trying.failures.push(`${link}: ${message.replace(/\.$/, "")}`);
      if (isFinal) return undefined;
    }
  }
  return undefined;
}

function called(link: Link, { type, job, host, parameters, target, signal }: Trying): Promise<Answer> {
  const { session_id: session, conversation_context } = job.metadata ?? {};
  const session_id = type === "chat" ? session : undefined;
  const config = { target_model: target, preset: parameters.preset };
  return host.call(
    link,
    withoutUndefined({
      prompt: job.prompt,
      config: withoutUndefined(config),
      metadata: withoutUndefined({ session_id, conversation_context }),
    }),
    { signal },
  );
}

const withoutUndefined = (fields: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** What may be gone at the next try is not final. */
function failureOf(error: unknown, signal: AbortSignal): { readonly message: string; readonly isFinal: boolean } {
  if (signal.aborted) return { message: "the time for enhancing the prompt is over", isFinal: true };
  if (!(error instanceof Error)) return { message: String(error), isFinal: true };
  const code = "code" in error ? error.code : undefined;
  const isFinal = code === "CALL_NOT_OFFERED" || ("permanent" in error && error.permanent === true);
  return { message: error.message, isFinal };
}

async function pause(signal: AbortSignal): Promise<void> {
  await setTimeout(pauseMs, undefined, { signal }).catch(() => undefined);
}

/** A called handler of another deployment may not say it. */
function limitOf(tokenLimit: unknown): number {
  return typeof tokenLimit === "number" && tokenLimit >= 1 ? tokenLimit : Number.POSITIVE_INFINITY;
}

/** A command cuts what is too long by its own tokenizer, which is not here. */
async function fitPrompt(
  prompt: string,
  tokenLimit: unknown,
  host: EnhancingHost,
  target: EnhancementTarget,
): Promise<Partial<FittedPrompt> & { readonly text: string }> {
  if (host.engine !== undefined) return { text: prompt };
  return fitTokens(prompt, limitOf(tokenLimit), await counterOf(host, target));
}

async function counterOf(host: EnhancingHost, target: EnhancementTarget): Promise<CountTokens> {
  const [{ tokenCounter }, folder] = await Promise.all([import("./token-counter.ts"), host.model()]);
  return await tokenCounter(target, folder);
}
