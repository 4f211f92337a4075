import { z } from "zod";
import { sessionLimits } from "./chat-sessions.ts";
import {
  deliveryFields,
  enhancementFields,
  enhancementParameters,
  numberFrom,
  optionalFlag,
  optionalOneOf,
  optionalText,
  promptText,
  seed,
  shown,
  wholeNumberFrom,
} from "./fields.ts";
import { defaulted, jobEnvelope, modelName, optional, safeId } from "./job.ts";
import { isGiven, isJsonObject, type JsonObject } from "./synonyms.ts";

/**
 * Requests to the language model. A request says its settings at the top level; a job has them in `config`. A job whose
 * settings are at the top level is read too, so that a request with an id and a type is a job.
 */

const stopText = z.string("must be a text").min(1, "must not be empty").max(100, "must be at most 100 characters");

export const chatSettings = {
  max_tokens: optional(wholeNumberFrom(1, 2048)),
  /** 0 is greedy. */
  temperature: optional(numberFrom(0, 2)),
  top_p: optional(numberFrom(0, 1)),
  /** 0 is off. */
  top_k: optional(wholeNumberFrom(0, 1000)),
  repetition_penalty: optional(numberFrom(0.5, 2)),
  seed,
  /** One text or several, read as a list. */
  stop: z.preprocess(
    (value) => (typeof value === "string" ? [value] : (value ?? undefined)),
    z.array(stopText, "must be a text or a list of texts").max(8, "must be at most 8 texts").optional(),
  ),
  stream: optionalFlag,
  model: optional(modelName),
  target_model: optionalOneOf(["sdxl", "wan"]),
  enhance_type: optionalText(64),
  preset: optionalText(64),
};

export const chatMessage = z.object(
  {
    role: z.enum(["system", "user", "assistant"], { error: 'must be "system", "user" or "assistant"' }),
    content: z.string("must be a text").max(100_000, "must be at most 100,000 characters"),
  },
  "must be an object with role and content",
);

export type ChatMessage = z.output<typeof chatMessage>;

const messages = optional(
  z
    .array(chatMessage, "must be a list of messages")
    .min(1, "must not be empty")
    .max(1000, "must be at most 1,000 messages"),
);

/** Whose request it is, and which conversation it belongs to. */
const requester = {
  user_id: optional(safeId),
  metadata: optional(z.looseObject(enhancementFields, "must be an object")),
};

/** Body of `/chat`. */
export const chatRequest = z
  .looseObject({ prompt: optional(promptText), messages, ...requester, ...chatSettings }, "must be an object")
  .superRefine(checkPromptOrMessages, { when: () => true });

/** Body of `/enhance`, `/enhance/base` and `/enhance/instruct`. */
export const enhanceRequest = z.looseObject(
  {
    prompt: promptText,
    /** Seconds for everything together, the waiting for the model included. */
    enhancement_timeout: enhancementParameters.enhancement_timeout,
    messages: optional(
      z.never("must be left out: a prompt is enhanced; what was said before goes into metadata.conversation_context"),
    ),
    ...requester,
    ...chatSettings,
  },
  "must be an object",
);

const { stream: _stream, model: _model, enhance_type: _type, preset, target_model, ...generation } = chatSettings;

/** How the job type `chat` answers where neither the job nor the model says it. */
export const chatDefaults = { max_tokens: 512, temperature: 0.7, top_p: 0.9, repetition_penalty: 1.1 } as const;

/** What a language model does with the settings of a job. */
export const chatParameters = z.object(generation);

/** The same, and which preset makes a prompt for which target. */
export const enhanceParameters = z.object({ ...generation, preset, target_model });

const jobFields = {
  config: defaulted(z.looseObject(deliveryFields, "must be an object").prefault({})),
  metadata: defaulted(z.looseObject(enhancementFields, "must be an object").prefault({})),
};

export const chatJob = z.preprocess(
  settingsInConfig,
  jobEnvelope
    .extend({ prompt: optional(promptText), messages, ...jobFields })
    .superRefine(checkPromptOrMessages, { when: () => true }),
);

export const enhanceJob = z.preprocess(settingsInConfig, jobEnvelope.extend({ prompt: promptText, ...jobFields }));

export type ChatRequest = z.output<typeof chatRequest>;
export type EnhanceRequest = z.output<typeof enhanceRequest>;
export type ChatJob = z.output<typeof chatJob>;
export type EnhanceJob = z.output<typeof enhanceJob>;

/** The conversation of a request or job: its messages, or its prompt as the user's only turn. */
export function messagesOf(request: Pick<ChatRequest, "messages" | "prompt">): readonly ChatMessage[] {
  return request.messages ?? [{ role: "user", content: request.prompt ?? "" }];
}

/** `config` wins over the top level; `messages` goes the other way, it is what the job is about. */
function settingsInConfig(job: unknown): unknown {
  if (!isJsonObject(job) || (isGiven(job.config) && !isJsonObject(job.config))) return job;
  const result = { ...job };
  const config: JsonObject = { ...(isJsonObject(job.config) ? job.config : {}) };
  for (const name of Object.keys(chatSettings)) {
    if (!isGiven(job[name])) continue;
    config[name] ??= job[name];
    delete result[name];
  }
  if (isGiven(config.messages) && !isGiven(job.messages)) {
    result.messages = config.messages;
    delete config.messages;
  }
  return { ...result, config };
}

function checkPromptOrMessages(request: unknown, ctx: z.core.$RefinementCtx): void {
  if (!isJsonObject(request)) return;
  const report = (field: string, input: unknown, message: string) =>
    ctx.addIssue({ code: "custom", path: [field], input, message });
  if (isGiven(request.prompt) && isGiven(request.messages)) {
    report("messages", request.messages, "must be left out where there is a prompt");
  } else if (!isGiven(request.prompt) && !isGiven(request.messages)) {
    report("prompt", undefined, "must be given, or else messages");
  } else if (isConversation(request.messages) && !request.messages.some(isQuestion)) {
    report("messages", request.messages, "must contain a message of the user's that is not only white space");
  } else if (isJsonObject(request.metadata) && isGiven(request.metadata.session_id)) {
    const error = `must have at most ${shown(sessionLimits.textBytes)} bytes of UTF-8 in each message of the user's where metadata.session_id is given`;
    if (Array.isArray(request.messages) && request.messages.some(isTooLongForSession))
      report("messages", request.messages, error);
  }
}

const encoder = new TextEncoder();

/** It would be remembered without its end. */
function isTooLongForSession(message: unknown): boolean {
  return (
    isJsonObject(message) &&
    message.role === "user" &&
    typeof message.content === "string" &&
    encoder.encode(message.content).length > sessionLimits.textBytes
  );
}

/** What is none is reported by the schema. */
function isConversation(messages: unknown): messages is ChatMessage[] {
  return z.array(chatMessage).min(1).safeParse(messages).success;
}

function isQuestion({ role, content }: ChatMessage): boolean {
  return role === "user" && /\S/.test(content);
}
