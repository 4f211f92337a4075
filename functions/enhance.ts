import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import type { EnhanceRequest } from "#contract/chat.ts";
import { PermanentError } from "#contract/errors.ts";
import type { CallAnswer } from "#runtime/calls/calls.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { type EnhanceAnswer, enhance, enhanceAnswer, enhanceBase, enhanceInstruct } from "./api/enhance.ts";
import { checkLanguageModel } from "./chat/language-models.ts";
import { answerCall, callOf } from "./chat/model-call.ts";
import { isForeseen } from "./errors.ts";
import { defineRoute, type RouteRequest } from "./http/route.ts";

type EnhanceType = "enhance_instruct" | "enhance_base";
type Request = RouteRequest<unknown, unknown, EnhanceRequest>;

export const enhanceInstructRoute = defineRoute(enhanceInstruct).handle(async (request, runtime) => ({
  status: 200,
  body: await enhancedAlone("enhance_instruct", request, runtime),
}));

export const enhanceBaseRoute = defineRoute(enhanceBase).handle(async (request, runtime) => ({
  status: 200,
  body: await enhancedAlone("enhance_base", request, runtime),
}));

/** Without a chain to go on, a model that answers nothing is the caller's mistake. */
async function enhancedAlone(type: EnhanceType, request: Request, runtime: Runtime): Promise<EnhanceAnswer> {
  if (request.body.model !== undefined) await checkLanguageModel(request.body.model, runtime);
  return enhancedBy(type, request, runtime);
}

/** As of a job: each type twice at most, with a pause between. */
const attemptsPerType = 2;
const pauseMs = 500;

/*
 * The same chain as before a picture (pipelines/text/enhancement/enhance-first.ts), within one time limit:
 *
 *   enhance_instruct ──► enhance_base ──► the prompt as it is
 *
 * "chat" is enhance_instruct within a session; of another type a session is let be.
 */
export const enhanceRoute = defineRoute(enhance).handle(async (request, runtime) => {
  const startedAt = performance.now();
  const { prompt, enhancement_timeout = runtime.config.callTimeoutSeconds } = request.body;
  const limit = AbortSignal.timeout(enhancement_timeout * 1000);
  const { types, body, failures } = chainOf(request.body);
  for (const type of types) {
    const answer = await tried(type, { request: { ...request, body }, runtime, limit, failures });
    if (answer !== undefined) return { status: 200, body: withReasons(answer, failures) };
    if (limit.aborted) break;
  }
  const original: EnhanceAnswer = {
    success: false,
    enhanced_prompt: prompt,
    original_prompt: prompt,
    enhancement_source: "original",
    processing_time: secondsOf((performance.now() - startedAt) / 1000),
  };
  return { status: 200, body: withReasons(original, failures) };
});

interface Chain extends Pick<Trying, "failures"> {
  readonly types: readonly EnhanceType[];
  readonly body: EnhanceRequest;
}

function chainOf(body: EnhanceRequest): Chain {
  const { session_id, ...metadata } = body.metadata ?? {};
  const type = body.enhance_type ?? metadata.enhancement_type;
  const isOfSession = type === "chat" && session_id !== undefined;
  return {
    types:
      type === "base" || (type === "chat" && !isOfSession) ? ["enhance_base"] : ["enhance_instruct", "enhance_base"],
    body: isOfSession ? body : { ...body, metadata },
    failures: type === "chat" && !isOfSession ? ["there is no metadata.session_id whose conversation could go on"] : [],
  };
}

interface Trying {
  readonly request: Request;
  readonly runtime: Runtime;
  /** Aborts when the time for everything together is over. */
  readonly limit: AbortSignal;
  /** Sentences, for the client. */
  readonly failures: string[];
}

async function tried(type: EnhanceType, trying: Trying): Promise<EnhanceAnswer | undefined> {
  const { request, runtime, limit, failures } = trying;
  const signal = AbortSignal.any([request.signal, limit]);
  for (let attempt = 1; attempt <= attemptsPerType && !limit.aborted; attempt++) {
    if (attempt > 1) await setTimeout(pauseMs, undefined, { signal }).catch(() => undefined);
    try {
      const call = callOf(type, request.body);
      const answer = answered(await answerCall({ headers: request.headers, signal }, runtime, call, attempt));
      if (answer.success) return answer;
      failures.push(`${type} changed nothing`);
    } catch (error) {
      const { message, isFinal } = failureOf(error, limit);
      failures.push(`${type}: ${message.replace(/\.$/, "")}`);
      if (isFinal) return undefined;
    }
  }
  return undefined;
}

async function enhancedBy(type: EnhanceType, request: Request, runtime: Runtime): Promise<EnhanceAnswer> {
  const { enhancement_timeout: seconds } = request.body;
  const limits = seconds === undefined ? [] : [AbortSignal.timeout(seconds * 1000)];
  const signal = AbortSignal.any([request.signal, ...limits]);
  return answered(await answerCall({ headers: request.headers, signal }, runtime, callOf(type, request.body)));
}

/** What the handler reports; fields of its own go no further. */
const reported = enhanceAnswer.omit({ processing_time: true, enhanced_prompt: true });

function answered({ output, waitedSeconds, ranSeconds }: CallAnswer): EnhanceAnswer {
  return {
    ...z.object(reported.shape).parse(output.metadata),
    enhanced_prompt: output.enhanced_prompt ?? "",
    processing_time: secondsOf(waitedSeconds + ranSeconds),
  };
}

/** Not for what the client has to know: that it asks wrongly, too often, or somebody who stops. */
const passedOn = new Set([
  "INVALID_JOB",
  "OVERLOADED",
  "SHUTTING_DOWN",
  "NOT_READY",
  "IDEMPOTENCY_CONFLICT",
  "CANCELLED",
]);

function failureOf(error: unknown, limit: AbortSignal): { readonly message: string; readonly isFinal: boolean } {
  if (limit.aborted && isForeseen(error)) return { message: "the time for enhancing is over", isFinal: true };
  if (!isForeseen(error) || passedOn.has(error.code)) throw error;
  return { message: error.message, isFinal: error.code === "CALL_NOT_OFFERED" || error instanceof PermanentError };
}

function withReasons(answer: EnhanceAnswer, failures: readonly string[]): EnhanceAnswer {
  return failures.length === 0 ? answer : { ...answer, fallback_reason: failures.join("; ") };
}

const secondsOf = (seconds: number) => Math.round(seconds * 1000) / 1000;
