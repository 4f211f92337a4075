import { invalidJob } from "#pipelines/core/errors.ts";
import type { ChatText, ChatTurn } from "./request.ts";

export interface FittedConversation {
  readonly ids: readonly number[];
  readonly droppedTurns: number;
}

/** How a model reads conversations. */
export interface ConversationReader {
  /** The tokens of a whole conversation, those of the template included. */
  read(messages: readonly ChatTurn[]): Promise<readonly number[]>;
  countTokens(text: string): number;
}

/**
 * A conversation that has room: the oldest messages go first, up to one of the user's, since templates want the user to
 * begin. The system message and the newest message of the user's, with what follows it, always stay.
 * @param roomTokens for the prompt
 * @throws PipelineError INVALID_JOB when there is no message, or what stays has no room
 */
export async function fitConversation(
  messages: readonly ChatTurn[],
  roomTokens: number,
  reader: ConversationReader,
): Promise<FittedConversation> {
  if (messages.length === 0) throw invalidJob("There are no messages: send at least one of the user's.");
  const [first] = messages;
  const head = first?.role === "system" ? [first] : [];
  const turns = messages.slice(head.length);
  const starts = startsOf(turns);
  const newest = starts.at(-1) ?? 0;
  const mayFit = firstThatMayFit(head, turns, roomTokens, reader);
  let tokens = 0;
  for (const start of starts.filter((one) => one === newest || one >= mayFit)) {
    const ids = await reader.read([...head, ...turns.slice(start)]);
    if (ids.length <= roomTokens) return { ids, droppedTurns: start };
    tokens = ids.length;
  }
  const what = head.length > 0 ? "The system message and the newest turn have" : "The newest turn has";
  throw invalidJob(`${what} ${tokens} tokens, and the model has room for ${roomTokens}: shorten them.`);
}

export interface FittedText {
  readonly ids: readonly number[];
  readonly droppedExamples: number;
}

/**
 * A text that has room: its examples go one after another, from the first on.
 * @throws PipelineError INVALID_JOB when the text is empty, or has no room without examples
 */
export function fitText(
  { lead = "", examples = [], prompt }: ChatText,
  roomTokens: number,
  encode: (text: string) => readonly number[],
): FittedText {
  // Of a prompt that is far too long: read once, and not with each number of examples.
  const least = encode(`${lead}${prompt}`);
  if (least.length === 0) throw invalidJob("The prompt is empty: send a text.");
  if (least.length > roomTokens)
    throw invalidJob(`The prompt has ${least.length} tokens, and the model has room for ${roomTokens}: shorten it.`);
  for (let dropped = 0; dropped < examples.length; dropped++) {
    const ids = encode(`${lead}${examples.slice(dropped).join("")}${prompt}`);
    if (ids.length <= roomTokens) return { ids, droppedExamples: dropped };
  }
  return { ids: least, droppedExamples: examples.length };
}

/** Where what is kept may begin: at the first message, or at one of the user's. */
function startsOf(turns: readonly ChatTurn[]): number[] {
  const users = turns.flatMap(({ role }, index) => (role === "user" ? [index] : []));
  return users[0] === 0 || turns.length === 0 ? users : [0, ...users];
}

/** Counted from the newest back, so that no more than the room is read of a conversation of any length. */
function firstThatMayFit(
  head: readonly ChatTurn[],
  turns: readonly ChatTurn[],
  roomTokens: number,
  { countTokens }: ConversationReader,
): number {
  let left = roomTokens - head.reduce((sum, { content }) => sum + countTokens(content), 0);
  for (let index = turns.length - 1; index >= 0; index--) {
    left -= countTokens(turns[index]?.content ?? "");
    if (left < 0) return index + 1;
  }
  return 0;
}
