import { createInput } from "./api/inputs-create.ts";
import { HttpError } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { viewInput } from "./inputs/input-view.ts";

export const createInputRoute = defineRoute(createInput).handle(
  async ({ query, headers, content, signal, audit, base }, runtime) => {
    refusePacked(headers);
    const { upload, created } = await runtime.uploads.add({
      userId: query.user_id,
      content,
      announcedBytes: Number(headers.get("content-length") ?? 0),
      signal,
    });
    audit("input uploaded", { user_id: upload.userId, sha256: upload.sha256, bytes: upload.sizeBytes });
    const body = await viewInput(upload, runtime, base);
    return { status: created ? 201 : 200, headers: { Location: `/inputs/${upload.sha256}` }, body };
  },
);

/**
 * A form or an archive around the file would be taken for the file. `application/x-www-form-urlencoded` says nothing: curl
 * announces it with every body that it is not told the type of.
 */
function refusePacked(headers: Headers): void {
  const type = headers.get("content-type") ?? "";
  if (/^multipart/i.test(type)) {
    const message =
      "This takes the file itself as the body, not a form: curl --data-binary @picture.png, or fetch with a Blob.";
    throw new HttpError("UNSUPPORTED_MEDIA_TYPE", message, { headers: { Connection: "close" } });
  }
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    const message = `Content-Encoding is "${encoding.slice(0, 100)}": send the file uncompressed.`;
    throw new HttpError("UNSUPPORTED_MEDIA_TYPE", message, { headers: { Connection: "close" } });
  }
}
