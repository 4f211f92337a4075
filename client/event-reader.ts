import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { z } from "zod";
import { CodedError } from "#contract/errors.ts";
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
      for (const message of messages.splice(0)) yield* jobEventOf(message);
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
