import { inputAddress, inputHash } from "#contract/input-address.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Upload } from "#runtime/inputs/uploads/upload-rows.ts";
import type { InputView } from "../api/schemas/input-view.ts";
import { HttpError } from "../errors.ts";
import { absolute, iso } from "../jobs/job-view.ts";

export async function viewInput(upload: Upload, { uploads }: Runtime, base: string): Promise<InputView> {
  return {
    input: inputAddress(upload.sha256),
    sha256: upload.sha256,
    user_id: upload.userId,
    mime_type: upload.mimeType,
    size_bytes: upload.sizeBytes,
    width: upload.width,
    height: upload.height,
    url: absolute(await uploads.url(upload), base),
    created_at: iso(upload.createdAtMs),
    expires_at: iso(upload.expiresAtMs),
  };
}

/** The hash that a path names, by itself or in an address. @throws HttpError NOT_FOUND */
export function hashIn(id: string): string {
  const hash = inputHash(id) ?? inputHash(`input:${id}`);
  if (hash !== null) return hash;
  throw noInput();
}

export function noInput(): HttpError {
  return new HttpError("NOT_FOUND", "There is no such input here (any more), or it is another user's.");
}
