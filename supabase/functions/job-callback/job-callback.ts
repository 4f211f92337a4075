import { z } from "zod";
import { type CallbackResponse, jobCallback } from "../_shared/callback.ts";
import { HttpError } from "../_shared/edge/answer.ts";
import { type CallOfAnybody, defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { sweepOutbox } from "../_shared/edge/outbox.ts";
import { CodedError } from "../_shared/errors.ts";
import { contentTypeOf, isJobType, jobTypes } from "../_shared/job-types.ts";
import { callbackLimits } from "../_shared/json-limits.ts";
import { describeProblems, parseWith } from "../_shared/problems.ts";
import { parseJson, readBytes, requireJson } from "../_shared/request-body.ts";
import { type SignatureVerdict, verifyCallback } from "../_shared/signature.ts";
import { storable } from "../_shared/storable.ts";

/*
 * What a container says of a job. The state machine is in the database (apply_job_callback): a callback that is said
 * again, or comes after the job's end, changes nothing and is answered as a success, so that its container stops.
 */
const maxBodyBytes = 1_048_576;

const applied = z.object({
  skipped: z.boolean(),
  reason: z.string().nullable(),
  job_id: z.string(),
  job_status: z.string(),
  job_type: z.string(),
  assets: z.number(),
});
type Applied = z.output<typeof applied>;

export const jobCallbackFunction = defineEdgeFunction({
  name: "job-callback",
  methods: ["POST"],
  callers: ["service"],
  async run(call) {
    const { request, database, log } = call;
    requireJson(request.headers);
    const bytes = await readBytes(request, maxBodyBytes);
    await checkSignature(call, bytes);
    const parsed = parseWith(jobCallback, storable(parseJson(bytes, { limits: callbackLimits })));
    if (!parsed.ok) {
      throw new HttpError("INVALID_REQUEST", `The callback is invalid: ${describeProblems(parsed.problems)}`);
    }
    const result = await database.call("apply_job_callback", { callback: parsed.value }, applied);
    log.info({ job_id: result.job_id, status: parsed.value.status, skipped: result.skipped }, "callback");
    if (parsed.value.status !== "processing") call.inBackground("sweeping the outbox", sweepOutbox(call));
    return { status: 200, body: describe(result, parsed.value.enhanced_prompt) };
  },
});

/** Where a secret is set, the service key alone does not open: it is known to more than the containers. */
async function checkSignature(
  { config, request }: Pick<CallOfAnybody, "config" | "request">,
  body: Uint8Array,
): Promise<void> {
  if (config.callbackSecret === null) return;
  const undated = config.callbackSignatures === "any";
  const verdict = await verifyCallback(config.callbackSecret, request.headers, body, { undated });
  if (verdict !== "valid") throw new CodedError("UNAUTHORIZED", refusals[verdict]);
}

const refusals: Readonly<Record<Exclude<SignatureVerdict, "valid">, string>> = {
  missing:
    "The callback is not signed: set JOB_CALLBACK_SECRET at the container, to the value that the functions have.",
  undated:
    "The callback's signature has no date, so that it could be sent again: update the container, or set CALLBACK_SIGNATURES=any at the functions while older ones run.",
  wrong:
    "The callback's signature is wrong: JOB_CALLBACK_SECRET must be the same at the container and at the functions.",
  "too old": "The callback was signed more than five minutes ago, or the container's clock is wrong.",
};

function describe(result: Applied, enhancedPrompt: string | null | undefined): CallbackResponse {
  const { job_type: type, reason } = result;
  return {
    success: true,
    message: reason === null ? `The job is ${result.job_status}.` : `Nothing changed: ${reason}.`,
    ...(result.skipped ? { skipped: true } : {}),
    debug: {
      job_id: result.job_id,
      jobStatus: result.job_status,
      jobType: type,
      format: contentTypeOf(type) ?? null,
      quality: /_(fast|high)(?:_|$)/.exec(type)?.[1] ?? null,
      isSDXL: isJobType(type) && jobTypes[type].worker === "sdxl",
      isEnhanced: type.endsWith("_enhanced") || (enhancedPrompt ?? null) !== null,
      assetsProcessed: result.assets,
      processingTimestamp: new Date().toISOString(),
    },
  };
}
