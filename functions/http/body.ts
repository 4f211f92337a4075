import { maxJobCharacters } from "#contract/decode.ts";
import { parseJson, readBytes, requireJson, tooLargeSentence } from "#contract/request-body.ts";
import { HttpError } from "../errors.ts";

/** Twice the largest job, for what its texts have of escapes and of characters beyond ASCII. */
export const maxBodyBytes = 2 * maxJobCharacters;

/**
 * The JSON value of a request's body, read no further than the limit.
 * @throws CodedError UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, INVALID_REQUEST
 */
export async function readJson(request: Request, limitBytes = maxBodyBytes): Promise<unknown> {
  requireJson(request.headers);
  return parseJson(await readBytes(request, limitBytes, tooLarge), { quotes: true });
}

export function tooLarge(limitBytes: number): HttpError {
  const message = `${tooLargeSentence(limitBytes)}: upload files, and send their addresses.`;
  // What is still on its way will not be read, so the connection cannot be used again.
  return new HttpError("BODY_TOO_LARGE", message, { headers: { Connection: "close" } });
}
