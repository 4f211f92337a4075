import process from "node:process";
import type { ChatEvent, NewChat, OurvidzClient } from "#client/client.ts";
import { printable } from "#runtime/observe/printable.ts";
import { note } from "../output.ts";

export interface Answered {
  /** As far as it came. */
  readonly text: string;
  /** Null: it was stopped. */
  readonly answer: Extract<ChatEvent, { name: "done" }>["data"] | null;
}

/**
 * Prints an answer as it grows.
 * @param signal stops it; what has come stays
 * @throws CodedError as the container answers it
 */
export async function printAnswer(client: OurvidzClient, request: NewChat, signal: AbortSignal): Promise<Answered> {
  let text = "";
  try {
    for await (const event of client.chatStream(request, { signal })) {
      if (event.name === "done") return { text, answer: event.data };
      text += event.data.delta;
      process.stdout.write(printable(event.data.delta));
    }
    return { text, answer: null };
  } catch (error) {
    if (signal.aborted) return { text, answer: null };
    throw error;
  } finally {
    if (text !== "" && !text.endsWith("\n")) process.stdout.write("\n");
  }
}

/** What the person has to know of the answer beside its text. */
export function noteAnswer({ answer }: Answered): void {
  if (answer === null) note("(stopped)");
  else if (answer.finish_reason === "length")
    note("(cut: it is as long as --max-tokens, or the model's context, allows)");
  if (answer !== null && answer.dropped_turns > 0)
    note(`(the model has no room for the oldest ${answer.dropped_turns} messages)`);
}
