import { z } from "zod";
import { describeError, headersOf } from "../errors.ts";

const typeOf: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
};

const fields = z.array(z.object({ field: z.string() }));

/** An error in the shape that OpenAI's clients read. */
export function openAiError(error: unknown): { readonly status: number; readonly body: object } {
  const { status, body } = describeError(error);
  const isUnknownModel = body.code === "MODEL_NOT_FOUND";
  const code = isUnknownModel ? "model_not_found" : body.code;
  const param = fields.safeParse(body.details).data?.[0]?.field ?? null;
  const shown = {
    message: body.error,
    type: typeOf[status] ?? (status < 500 ? "invalid_request_error" : "server_error"),
    code,
    param,
  };
  return { status: isUnknownModel ? 404 : status, body: { error: shown } };
}

export function openAiErrorResponse(error: unknown): Response {
  const { status, body } = openAiError(error);
  return Response.json(body, { status, headers: headersOf(error) });
}
