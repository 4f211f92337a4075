import { CodedError } from "../errors.ts";
import { parseJson, readBytes, requireJson } from "../request-body.ts";
import { isStorable } from "../storable.ts";

/**
 * The JSON value of a request's body, which the database can keep.
 *
 * @throws CodedError UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, INVALID_REQUEST
 */
export async function readJson(request: Request, limitBytes: number): Promise<unknown> {
  requireJson(request.headers);
  const value = parseJson(await readBytes(request, limitBytes));
  if (isStorable(value)) return value;
  const what = "a text with the character NUL or with half of a surrogate pair";
  throw new CodedError("INVALID_REQUEST", `The body has ${what}, which cannot be kept: leave it out.`);
}
