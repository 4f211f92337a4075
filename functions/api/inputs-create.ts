import { z } from "zod";
import { safeId } from "#contract/job.ts";
import { declareRoute } from "./declare.ts";
import { inputView, storeErrors } from "./schemas/input-view.ts";

/** POST /inputs: a file for jobs, as the body. */
export const createInput = declareRoute({
  method: "POST",
  path: "/inputs",
  access: "key",
  summary: "Upload a picture, video or LoRA file for jobs",
  description:
    "The body is the file itself. Its type is read from its content: PNG, JPEG, WebP, GIF, MP4, MOV, WebM or safetensors. Jobs of the same user name it by the address `input` of the answer wherever they may name a file. The same content again is the same file, kept for longer.",
  takesFile: true,
  query: z.strictObject({
    /** Whose file it is: jobs of this user may name it. */
    user_id: safeId.default("anonymous"),
  }),
  responses: {
    /** The user had uploaded it before. */
    200: inputView,
    201: inputView,
  },
  errors: [
    "BODY_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "INPUT_INVALID",
    "INPUT_TOO_LARGE",
    "INPUTS_FULL",
    "OVERLOADED",
    "DISK_FULL",
    ...storeErrors,
  ],
});
