import { z } from "zod";
import type { EnhanceRequest } from "#contract/chat.ts";
import { CodedError } from "#contract/errors.ts";
import type { CallAnswer } from "#runtime/calls/calls.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { type EnhanceAnswer, enhance, enhanceAnswer, enhanceBase, enhanceInstruct } from "./api/enhance.ts";
import { answerCall, callOf } from "./chat/model-call.ts";
import { isForeseen } from "./errors.ts";
import { defineRoute, type RouteRequest } from "./http/route.ts";

type EnhanceType = "enhance_instruct" | "enhance_base";
type Request = RouteRequest<unknown, unknown, EnhanceRequest>;

export const enhanceInstructRoute = defineRoute(enhanceInstruct).handle(async (request, runtime) => ({
  status: 200,
  body: await enhancedBy("enhance_instruct", request, runtime),
}));

export const enhanceBaseRoute = defineRoute(enhanceBase).handle(async (request, runtime) => ({
  status: 200,
  body: await enhancedBy("enhance_base", request, runtime),
}));

export const enhanceRoute = defineRoute(enhance).handle(async (request, runtime) => {
  const startedAt = performance.now();
  const types: readonly EnhanceType[] =
    request.body.enhance_type === "base" ? ["enhance_base"] : ["enhance_instruct", "enhance_base"];
  const failures: string[] = [];
  for (const type of types) {
    const answer = await enhancedBy(type, request, runtime).catch((error: unknown) => reasonOf(error));
    if (typeof answer === "string") failures.push(`${type}: ${answer}`);
    else if (answer.success) return { status: 200, body: withReasons(answer, failures) };
    else failures.push(`${type} changed nothing`);
  }
  const { prompt } = request.body;
  const original: EnhanceAnswer = {
    success: false,
    enhanced_prompt: prompt,
    original_prompt: prompt,
    enhancement_source: "original",
    processing_time: secondsOf((performance.now() - startedAt) / 1000),
  };
  return { status: 200, body: withReasons(original, failures) };
});

async function enhancedBy(type: EnhanceType, request: Request, runtime: Runtime): Promise<EnhanceAnswer> {
  return answered(await answerCall(request, runtime, callOf(type, request.body)));
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

function reasonOf(error: unknown): string {
  if (!isForeseen(error) || passedOn.has(error.code)) throw error;
  return error instanceof CodedError ? error.message : "it failed";
}

function withReasons(answer: EnhanceAnswer, failures: readonly string[]): EnhanceAnswer {
  return failures.length === 0 ? answer : { ...answer, fallback_reason: failures.join("; ") };
}

const secondsOf = (seconds: number) => Math.round(seconds * 1000) / 1000;
