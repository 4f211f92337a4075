import { z } from "zod";
import { HttpError } from "../_shared/edge/answer.ts";
import { readJson } from "../_shared/edge/body.ts";
import { defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { connectStorage } from "../_shared/edge/storage.ts";
import { inputAddress, inputBucket, inputFolder } from "../_shared/input-address.ts";
import { describeProblems, parseWith } from "../_shared/problems.ts";

/*
 * An address to which a signed-in user's browser may upload one file for jobs: under the user's own folder, by its content. The
 * file goes to the storage and not through this function; jobs of the same user name it by `input`. Whoever uploads something else
 * there has jobs that are refused: containers compare the content with its name.
 */
const extensions = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/webp": "webp",
  "image/gif": "gif",
  "video/mp4": "mp4",
  "video/quicktime": "mov",
  "video/webm": "webm",
  "application/vnd.safetensors": "safetensors",
} as const;
type FileType = keyof typeof extensions;

const megabyte = 1_048_576;
const maxBytesOf = (type: FileType) => (type === "application/vnd.safetensors" ? 1024 : 50) * megabyte;

const types = Object.keys(extensions).filter((type): type is FileType => type in extensions);
const upload = z
  .strictObject({
    content_type: z.enum(types, `must be ${types.join(", ")}`),
    size_bytes: z.int("must be a number of bytes").min(1, "must be a number of bytes, at least 1"),
    sha256: z.string().regex(/^[0-9a-f]{64}$/, "must be the SHA-256 of the file, in hexadecimal"),
  })
  .superRefine(({ content_type, size_bytes }, context) => {
    const maxBytes = maxBytesOf(content_type);
    if (size_bytes <= maxBytes) return;
    const message = `must be at most ${maxBytes.toLocaleString("en-US")} for ${content_type}`;
    context.addIssue({ code: "custom", path: ["size_bytes"], input: size_bytes, message });
  });

/** The storage's own: two hours. */
const validSeconds = 7200;

export const createUpload = defineEdgeFunction({
  name: "create-upload",
  methods: ["POST"],
  callers: ["user"],
  async run({ request, caller, config }) {
    const parsed = parseWith(upload, await readJson(request, 4096));
    if (!parsed.ok) {
      const message = `The upload is invalid: ${describeProblems(parsed.problems)}`;
      throw new HttpError("INVALID_REQUEST", message, { details: parsed.problems });
    }
    const { content_type, sha256 } = parsed.value;
    const path = `${caller.id}/${inputFolder}/${sha256}.${extensions[content_type]}`;
    const { signedUrl, token } = await connectStorage(config).signUpload(inputBucket, path);
    return {
      status: 200,
      body: {
        success: true,
        input: inputAddress(sha256),
        bucket: inputBucket,
        path,
        token,
        upload_url: signedUrl,
        method: "PUT",
        content_type,
        expires_in: validSeconds,
      },
    };
  },
});
