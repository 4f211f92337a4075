import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { PermanentError } from "#contract/errors.ts";
import { readDataAddress } from "#contract/input-address.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import { type FetchedFile, fileFor, type InputRequest } from "./input-request.ts";
import type { InputLimits } from "./limits.ts";
import { writeContent } from "./write-content.ts";

/**
 * The file that is in a `data:` address, for a job whose door has not stored it.
 * @throws PermanentError INPUT_REFUSED, INPUT_TOO_LARGE, INPUT_INVALID; file system errors as they are
 */
export async function writeDataInput(request: InputRequest, limits: InputLimits): Promise<FetchedFile> {
  const bytes = readDataAddress(request.url);
  await makeFolder(request.folder);
  const partial = join(request.folder, `${request.name}.part`);
  try {
    const content = await writeContent(once(bytes), partial, {
      kinds: [limits.kind],
      maxBytes: () => limits.sizeBytes,
      tooLarge: () => new PermanentError("The data: address is too large.", { code: "INPUT_TOO_LARGE" }),
      invalid: (why) =>
        new PermanentError(`The file in a data: address cannot be used: ${why}.`, { code: "INPUT_INVALID" }),
    });
    const file = fileFor(request, content);
    await rename(partial, file);
    return { file, ...content };
  } finally {
    await rm(partial, { force: true });
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
