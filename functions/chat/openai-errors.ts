import { z } from "zod";
import { type ErrorCode, errorStatus } from "#contract/errors.ts";
import { describeError, headersOf } from "../errors.ts";
import type { ErrorForm } from "../http/route.ts";

const typeOf: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
};

export const openAiErrorBody = z
  .strictObject({
    error: z.strictObject({
      message: z.string(),
      type: z.string(),
      code: z.string(),
      /** The field that is wrong. */
      param: z.string().nullable(),
    }),
  })
  .meta({ id: "OpenAiError" });

type OpenAiErrorBody = z.output<typeof openAiErrorBody>;

const fields = z.array(z.object({ field: z.string() }));

/** OpenAI's own name and status of it, by which its clients know it. */
function described(code: ErrorCode): { readonly status: number; readonly code: string } {
  return code === "MODEL_NOT_FOUND" ? { status: 404, code: "model_not_found" } : { status: errorStatus[code], code };
}

/** An error in the shape that OpenAI's clients read. */
export function openAiError(error: unknown): { readonly status: number; readonly body: OpenAiErrorBody } {
  const { body } = describeError(error);
  const { status, code } = described(body.code);
  const param = fields.safeParse(body.details).data?.[0]?.field ?? null;
  const type = typeOf[status] ?? (status < 500 ? "invalid_request_error" : "server_error");
  return { status, body: { error: { message: body.error, type, code, param } } };
}

export const openAiErrors: ErrorForm = {
  schema: openAiErrorBody,
  described,
  respond(error) {
    const { status, body } = openAiError(error);
    return Response.json(body, { status, headers: headersOf(error) });
  },
};
