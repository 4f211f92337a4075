import { CodedError } from "#contract/errors.ts";
import type { chat } from "#functions/api/chat.ts";
import { type ChatEvent, readChatEvents } from "./event-reader.ts";
import type { Connection } from "./http-call.ts";

/** @throws CodedError as the container answers it, also at the end of a stream; WORKER_UNREACHABLE when it breaks off */
export async function* streamChat(
  connection: Connection,
  request: object,
  signal: AbortSignal | undefined,
): AsyncGenerator<ChatEvent, undefined> {
  const body = { ...request, stream: true };
  const response = await connection.open<typeof chat>("POST", "/chat", { body, signal });
  let isOver = false;
  if (response.body !== null)
    for await (const event of readChatEvents(response.body)) {
      isOver = event.name === "done";
      yield event;
    }
  if (!isOver) throw new CodedError("WORKER_UNREACHABLE", "The answer broke off before its end.");
}
