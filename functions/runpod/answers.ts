import { CodedError, toErrorReport } from "#contract/errors.ts";
import { excessOf, type JsonLimits, jobLimits } from "#contract/json-limits.ts";
import { headersOf, isForeseen } from "../errors.ts";

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
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > maxBytes) {
      const limit = maxBytes.toLocaleString("en-US");
      const message = `The body is larger than ${limit} bytes, which is the limit: upload files, and send their addresses.`;
      throw new CodedError("BODY_TOO_LARGE", message);
    }
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  const excess = excessOf(text, limits);
  if (excess !== null) {
    const code = excess.of === "levels" ? "INVALID_REQUEST" : "BODY_TOO_LARGE";
    throw new CodedError(code, `The body ${excess.message}, which is the limit.`);
  }
  try {
    return text.trim() === "" ? undefined : JSON.parse(text);
  } catch (cause) {
    throw new CodedError("INVALID_REQUEST", "The body is not valid JSON.", { cause });
  }
}
