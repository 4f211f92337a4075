import type { CallAnswer } from "#runtime/calls/calls.ts";
import { type ChatAnswer, chat } from "./api/chat.ts";
import { answerFacts } from "./chat/answer-facts.ts";
import { checkLanguageModel } from "./chat/language-models.ts";
import { answerCall, callOf, streamCall, type TextStream } from "./chat/model-call.ts";
import { describeError } from "./errors.ts";
import type { ServerEvents } from "./http/event-stream.ts";
import { defineRoute } from "./http/route.ts";

export const chatRoute = defineRoute(chat).handle(async (request, runtime) => {
  const { body } = request;
  const sessionId = body.metadata?.session_id;
  if (body.model !== undefined) await checkLanguageModel(body.model, runtime);
  const call = callOf("chat", body);
  if (body.stream === true) {
    return await streamCall(request, runtime, call, (stream) => chatEvents(stream, sessionId));
  }
  return { status: 200, body: answered(await answerCall(request, runtime, call), sessionId) };
});

function answered({ output, waitedSeconds, ranSeconds }: CallAnswer, sessionId: string | undefined): ChatAnswer {
  return {
    success: true,
    response: output.text ?? "",
    ...answerFacts(output),
    processing_time: secondsOf(waitedSeconds + ranSeconds),
    ...(sessionId === undefined ? {} : { session_id: sessionId }),
  };
}

async function* chatEvents({ text, answer }: TextStream, sessionId: string | undefined): AsyncGenerator<ServerEvents> {
  try {
    for await (const delta of text) yield [{ event: "text", data: { delta } }];
    yield [{ event: "done", data: answered(await answer, sessionId) }];
  } catch (error) {
    yield [{ event: "error", data: describeError(error).body }];
  }
}

const secondsOf = (seconds: number) => Math.round(seconds * 1000) / 1000;
