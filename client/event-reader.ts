import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { z } from "zod";
import { CodedError, isErrorCode } from "#contract/errors.ts";
import type { ChatAnswer } from "#functions/api/chat.ts";
import type { eventSchemas } from "#functions/api/schemas/job-event.ts";

type Schemas = typeof eventSchemas;

/** One event of a job. */
export type JobEvent = {
  [Name in keyof Schemas]: { readonly id: string; readonly name: Name; readonly data: z.output<Schemas[Name]> };
}[keyof Schemas];

/** A preview is a small picture as text; far more than one has no end. */
const maxEventCharacters = 32 * 1024 * 1024;

/** The events of a stream. Comments and events of unknown names are passed over. */
export async function* readJobEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<JobEvent> {
  for await (const message of readMessages(body)) yield* jobEventOf(message);
}

/** What `/chat` sends while it answers. */
export type ChatEvent =
  | { readonly name: "text"; readonly data: { readonly delta: string } }
  | { readonly name: "done"; readonly data: ChatAnswer };

/** @throws CodedError as the container reports it at the end of a stream */
export async function* readChatEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ChatEvent> {
  for await (const { event, data } of readMessages(body)) {
    if (event === "text" || event === "done") yield { name: event, data: JSON.parse(data) };
    if (event === "error") throw reported(JSON.parse(data));
  }
}

function reported({ code, error, details }: { readonly [name: string]: unknown }): CodedError {
  if (typeof error !== "string" || !isErrorCode(code))
    return new CodedError("WORKER_UNREACHABLE", "The answer ended with an error that is not understood.");
  return new CodedError(code, error, { details });
}

async function* readMessages(body: ReadableStream<Uint8Array>): AsyncGenerator<EventSourceMessage> {
  const messages: EventSourceMessage[] = [];
  const parser = createParser({
    maxBufferSize: maxEventCharacters,
    onEvent: (message) => messages.push(message),
    onError: (cause) => {
      if (cause.type === "max-buffer-size-exceeded")
        throw new CodedError("WORKER_UNREACHABLE", "An event has no end.", { cause });
    },
  });
  const decoder = new TextDecoder();
  // Not `for await`: not every browser iterates over streams.
  const reader = body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parser.feed(decoder.decode(part.value, { stream: true }));
      yield* messages.splice(0);
    }
  } finally {
    // Whoever leaves early also lets the container know; a stream that broke has nothing left to cancel.
    await reader.cancel().catch(() => undefined);
  }
}

function* jobEventOf({ id = "", event, data }: EventSourceMessage): Generator<JobEvent> {
  switch (event) {
    case "state":
    case "progress":
    case "text":
    case "stage":
    case "preview":
    case "delivery":
      yield { id, name: event, data: JSON.parse(data) };
  }
}
