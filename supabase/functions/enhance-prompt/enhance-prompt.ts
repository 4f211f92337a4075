import { z } from "zod";
import { type EnhanceRequest, enhanceRequest } from "../_shared/chat.ts";
import { HttpError } from "../_shared/edge/answer.ts";
import { readJson } from "../_shared/edge/body.ts";
import { type CallOfAnybody, defineEdgeFunction, type EdgeCall } from "../_shared/edge/edge-function.ts";
import { requestContainer } from "../_shared/edge/worker-client.ts";
import { findWorker } from "../_shared/edge/workers.ts";
import { CodedError, toErrorReport } from "../_shared/errors.ts";
import { jobEnvelope } from "../_shared/job.ts";
import type { UserLimits } from "../_shared/policy/policy.ts";
import { invalidJob, parseWith } from "../_shared/problems.ts";
import { policy } from "../queue-job/policy.ts";

/*
 * Has a prompt written out by a container's language model. Enhancement is never in the way of a picture: whatever fails
 * after the prompt was read, the answer is the original prompt with the reason.
 */
const maxBodyBytes = 262_144;
/** Under the 100 seconds after which the proxy in front of a container gives up. */
const answerWithinMs = 60_000;

const enhanced = z.looseObject({
  success: z.literal(true),
  enhanced_prompt: z.string().min(1).max(32_000),
  /** Of a conversation that the request names in `metadata.session_id`. */
  session_turns: z.int().optional(),
  session_turns_dropped: z.int().optional(),
  session_turn_cut: z.boolean().optional(),
});

export const enhancePrompt = defineEdgeFunction({
  name: "enhance-prompt",
  methods: ["POST"],
  callers: ["user"],
  async run(call) {
    const parsed = parseWith(enhanceRequest, await readJson(call.request, maxBodyBytes));
    if (!parsed.ok) throw invalidJob(parsed.problems);
    const { prompt, user_id } = parsed.value;
    if (user_id !== undefined && user_id !== call.caller.id)
      throw new CodedError("FORBIDDEN", "user_id is another user's: leave it out, it is taken from your token.");
    const { enhancementsPerMinute: per_minute } = await checkPolicy(call, prompt);
    const counted = { user_id: call.caller.id, kind: "enhance-prompt", per_minute };
    await call.database.call("count_request", counted, z.number());
    try {
      const answer = await enhance(call, parsed.value, call.caller.id);
      const { success, enhanced_prompt, enhancement_source, processing_time, model } = answer;
      await checkPolicy(call, enhanced_prompt);
      const body = { success, enhanced_prompt, original_prompt: prompt, enhancement_source, processing_time, model };
      const { session_turns, session_turns_dropped, session_turn_cut } = answer;
      return { status: 200, body: { ...body, session_turns, session_turns_dropped, session_turn_cut } };
    } catch (error) {
      const { code, message } = toErrorReport(error);
      call.log.warn({ code, error: message }, "the prompt stays as it is");
      const reason = code === "INTERNAL" || code === "CONFIG_INVALID" ? "The prompt could not be enhanced." : message;
      const body = { success: false, error: reason, code, enhanced_prompt: prompt, original_prompt: prompt };
      return { status: 200, body: { ...body, enhancement_source: "original" } };
    }
  },
});

/** @param userId whose conversation goes on where the request names one, and in whose turn the model works */
async function enhance(
  { config, database }: CallOfAnybody,
  request: EnhanceRequest,
  userId: string,
): Promise<z.output<typeof enhanced>> {
  if (config.workerKey === null) {
    throw new CodedError("CONFIG_INVALID", "WAN_WORKER_API_KEY is not set: containers do not answer without it.");
  }
  const capability = request.model?.includes("base") ? "enhance_base" : "enhance_instruct";
  const worker = await findWorker(database, capability);
  if (worker === null) throw new CodedError("NO_ACTIVE_WORKER", "No container with a language model is running.");
  const { status, body } = await requestContainer(
    `${worker.url}/enhance`,
    {
      method: "POST",
      headers: { Authorization: `Bearer ${config.workerKey}`, "Content-Type": "application/json" },
      body: JSON.stringify({ ...request, user_id: userId, stream: false }),
    },
    answerWithinMs,
  );
  const answer = enhanced.safeParse(body);
  if (status === 200 && answer.success) return answer.data;
  const details = { status };
  throw new HttpError("WORKER_UNREACHABLE", `The container's language model failed (${status}).`, { details });
}

/** What may not be asked for may not be had by a detour either: it is asked of the prompt and of what becomes of it. */
async function checkPolicy({ caller }: Pick<EdgeCall<"user">, "caller">, prompt: string): Promise<UserLimits> {
  const job = jobEnvelope.parse({ id: crypto.randomUUID(), type: "enhance_instruct", prompt, user_id: caller.id });
  const request = { userId: caller.id, claims: caller.claims, job };
  await policy.check(request);
  return policy.limits(request);
}
