import { z } from "zod";
import { sessionId } from "#contract/chat-sessions.ts";
import { numberFrom, wholeNumberFrom } from "#contract/fields.ts";
import { optional, safeId, safeIdRule } from "#contract/job.ts";
import { declareRoute } from "./declare.ts";
import { textErrors, textHeaders } from "./schemas/text-answer.ts";

/* OpenAI's chat completions, as far as a language model of this container can do them. */

const textPart = z.object(
  {
    type: z.literal("text", { error: 'must be "text": the model reads no pictures or sound' }),
    text: z.string("must be a text"),
  },
  "must be an object with type and text",
);

const content = z
  .union([z.string(), z.array(textPart)], { error: "must be a text, or a list of parts of text" })
  .transform((value) => (typeof value === "string" ? value : value.map(({ text }) => text).join("")))
  .pipe(z.string().max(100_000, "must be at most 100,000 characters"));

const message = z
  .object(
    {
      role: z.enum(["system", "developer", "user", "assistant"], {
        error: 'must be "system", "developer", "user" or "assistant"',
      }),
      content: z.preprocess((value) => value ?? "", content),
    },
    "must be an object with role and content",
  )
  .transform(({ role, content: text }) => ({ role: role === "developer" ? ("system" as const) : role, content: text }));

const modelName = z
  .string("must be a model's name")
  .min(1, "must be a model's name")
  .max(100, "must be a model's name");

const stopText = z.string("must be a text").min(1, "must not be empty").max(100, "must be at most 100 characters");

const noTools = "the models of this container call no tools";

const chatCompletionFields = z.looseObject(
  {
    /** A model's folder, or another name of it; the one called "chat" when left out. */
    model: optional(modelName),
    prompt: optional(z.never("must be left out: messages are answered")),
    messages: z
      .array(message, "must be a list of messages")
      .min(1, "must not be empty")
      .max(1000, "must be at most 1,000 messages")
      .refine(
        (messages) =>
          messages.length === 0 || messages.some(({ role, content: text }) => role === "user" && /\S/.test(text)),
        "must contain a message of the user's that is not only white space",
      ),
    max_tokens: optional(wholeNumberFrom(1, 2048)),
    max_completion_tokens: optional(wholeNumberFrom(1, 2048)),
    temperature: optional(numberFrom(0, 2)),
    top_p: optional(numberFrom(0, 1)),
    top_k: optional(wholeNumberFrom(0, 1000)),
    repetition_penalty: optional(numberFrom(0.5, 2)),
    seed: optional(wholeNumberFrom(0, 2 ** 53)),
    stop: z.preprocess(
      (value) => (typeof value === "string" ? [value] : (value ?? undefined)),
      z.array(stopText, "must be a text or a list of texts").max(8, "must be at most 8 texts").optional(),
    ),
    stream: optional(z.boolean("must be true or false")),
    stream_options: optional(z.looseObject({ include_usage: optional(z.boolean("must be true or false")) })),
    /** `session_id`: as of /chat; the session is that of `user`. */
    metadata: optional(z.looseObject({ session_id: optional(sessionId) }, "must be an object")),
    user: optional(z.string("must be a text").max(500, "must be at most 500 characters")),
    n: optional(z.literal(1, { error: "must be 1" })),
    logprobs: optional(z.literal(false, { error: "must be left out: the scores of tokens are not answered" })),
    tools: optional(z.array(z.unknown()).max(0, { error: `must be left out: ${noTools}` })),
    response_format: optional(
      z.looseObject({ type: z.literal("text", { error: 'must be "text": answers follow no schema' }) }),
    ),
  },
  "must be an object",
);

/** A name that is no user's id would be nobody's, whose sessions are everybody's. */
export const chatCompletionRequest = chatCompletionFields.superRefine(({ user, metadata }, context) => {
  if (metadata?.session_id === undefined || user === undefined || safeId.safeParse(user).success) return;
  const message = `${safeIdRule} where metadata.session_id is given`;
  context.addIssue({ code: "custom", path: ["user"], input: user, message });
});

export type ChatCompletionRequest = z.output<typeof chatCompletionRequest>;

const usage = z.object({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() });

export const chatCompletion = z
  .object({
    id: z.string(),
    object: z.literal("chat.completion"),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.object({
        index: z.literal(0),
        message: z.object({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
        logprobs: z.null(),
        finish_reason: z.enum(["stop", "length"]),
      }),
    ),
    usage,
  })
  .meta({ id: "ChatCompletion" });

export type ChatCompletion = z.output<typeof chatCompletion>;

export const chatCompletions = declareRoute({
  method: "POST",
  path: "/v1/chat/completions",
  access: "key",
  summary: "Ask the language model as OpenAI's clients do",
  description:
    'With "stream": true the answer comes as chunks. Errors have OpenAI\'s shape: {"error": {"message", "type", "code", "param"}}. What the model cannot do (tools, several answers, answers by a schema) is refused by name; other unknown fields are passed over.',
  body: chatCompletionRequest,
  headers: textHeaders,
  responses: { 200: chatCompletion },
  errors: textErrors,
});

const model = z
  .object({ id: z.string(), object: z.literal("model"), created: z.int(), owned_by: z.string() })
  .meta({ id: "Model" });

export type Model = z.output<typeof model>;

export const modelList = z.object({ object: z.literal("list"), data: z.array(model) }).meta({ id: "ModelList" });

export const listModels = declareRoute({
  method: "GET",
  path: "/v1/models",
  access: "key",
  summary: "Language models of this container, as OpenAI's clients read them",
  responses: { 200: modelList },
  errors: ["MODEL_NOT_FOUND", "MODEL_INVALID"],
});

export const getModel = declareRoute({
  method: "GET",
  path: "/v1/models/:id",
  access: "key",
  summary: "A language model of this container, as OpenAI's clients read it",
  description: "By its folder's name, or by another name that requests may give it.",
  params: z.strictObject({ id: modelName }),
  responses: { 200: model },
  errors: ["MODEL_NOT_FOUND", "MODEL_INVALID"],
});
