import { CodedError, toErrorReport } from "#contract/errors.ts";
import { type JsonLimits, jobLimits } from "#contract/json-limits.ts";
import { readBytes, requireWithin } from "#contract/request-body.ts";
import { headersOf, isForeseen } from "../errors.ts";
import { tooLarge } from "../http/body.ts";

/* Errors as RunPod's clients read them: `{"error": "<sentence>"}`. */

export function errorAnswer(error: unknown): Response {
  if (!isForeseen(error)) {
    return Response.json({ error: "The server failed to answer this request; its log says why." }, { status: 500 });
  }
  const { message } = toErrorReport(error);
  return Response.json({ error: message }, { status: statusOf(error), headers: headersOf(error) });
}

/** RunPod knows no other answer than 400 to a request that is wrong in itself. */
function statusOf({ status }: CodedError): number {
  return status === 409 || status === 422 || status === 424 ? 400 : status;
}

/** What a container may make: lists of a million numbers are among it. */
export const postedLimits: JsonLimits = { values: 5_000_000, names: 1_000_000, levels: 200 };

/**
 * The body as JSON, whatever its content type says.
 * @param limits a job's, where nothing else is said
 * @throws CodedError BODY_TOO_LARGE, INVALID_REQUEST
 */
export async function readBody(request: Request, maxBytes: number, limits = jobLimits): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(request, maxBytes, tooLarge));
  requireWithin(text, limits);
  try {
    return text.trim() === "" ? undefined : JSON.parse(text);
  } catch (cause) {
    throw new CodedError("INVALID_REQUEST", "The body is not valid JSON.", { cause });
  }
}
