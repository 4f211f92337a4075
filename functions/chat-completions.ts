import { safeId } from "#contract/job.ts";
import type { CallAnswer } from "#runtime/calls/calls.ts";
import { type ChatCompletion, type ChatCompletionRequest, chatCompletions } from "./api/chat-completions.ts";
import { answerFacts } from "./chat/answer-facts.ts";
import { checkLanguageModel } from "./chat/language-models.ts";
import { answerCall, type ModelCall, streamCall, type TextStream } from "./chat/model-call.ts";
import { openAiError, openAiErrors } from "./chat/openai-errors.ts";
import { doneMark, type ServerEvents } from "./http/event-stream.ts";
import { defineRoute } from "./http/route.ts";

export const chatCompletionsRoute = defineRoute(chatCompletions, { errorForm: openAiErrors }).handle(
  async (request, runtime) => {
    const { body } = request;
    if (body.model !== undefined) await checkLanguageModel(body.model, runtime);
    const call = callOf(body);
    const head = { id: `chatcmpl-${request.id}`, created: Math.floor(Date.now() / 1000) };
    if (body.stream === true) {
      const model = body.model ?? "chat";
      const hasUsage = body.stream_options?.include_usage === true;
      return await streamCall(request, runtime, call, (stream) => chunks(stream, { ...head, model }, hasUsage));
    }
    return { status: 200, body: completion(await answerCall(request, runtime, call), head) };
  },
);

function callOf(body: ChatCompletionRequest): ModelCall {
  const { model, messages, max_completion_tokens, max_tokens, temperature, top_p, top_k } = body;
  const { repetition_penalty, seed, stop, user } = body;
  const limit = max_completion_tokens ?? max_tokens;
  const config = { max_tokens: limit, temperature, top_p, top_k, repetition_penalty, seed, stop };
  const userId = safeId.safeParse(user).data;
  const metadata = { session_id: body.metadata?.session_id };
  return { type: "chat", userId, job: { messages, config, metadata, model_variant: model } };
}

interface Head {
  readonly id: string;
  readonly created: number;
}

function completion({ output }: CallAnswer, { id, created }: Head): ChatCompletion {
  const { model, finish_reason, prompt_tokens, tokens_generated } = answerFacts(output);
  return {
    id,
    object: "chat.completion",
    created,
    model,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: output.text ?? "", refusal: null },
        logprobs: null,
        finish_reason,
      },
    ],
    usage: usageOf(prompt_tokens, tokens_generated),
  };
}

function usageOf(prompt_tokens: number, completion_tokens: number) {
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}

/** The first chunk carries the role, the last one the reason of the end; after it the usage, on request. */
async function* chunks(
  { text, answer }: TextStream,
  head: Head & { readonly model: string },
  hasUsage: boolean,
): AsyncGenerator<ServerEvents> {
  const chunk = (delta: object, finish_reason: string | null) => ({
    data: {
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      ...(hasUsage ? { usage: null } : {}),
    },
  });
  try {
    yield [chunk({ role: "assistant", content: "" }, null)];
    for await (const content of text) yield [chunk({ content }, null)];
    const { finish_reason, prompt_tokens, tokens_generated } = answerFacts((await answer).output);
    const usage = usageOf(prompt_tokens, tokens_generated);
    const last = { data: { ...head, object: "chat.completion.chunk", choices: [], usage } };
    yield [chunk({}, finish_reason), ...(hasUsage ? [last] : []), { data: doneMark }];
  } catch (error) {
    yield [{ data: openAiError(error).body }];
  }
}
