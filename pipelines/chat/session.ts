import type { GenerationOutput } from "#pipelines/diffusion/run-generation.ts";
import type { ChatTurn } from "./request.ts";

/*
 * A conversation that is remembered from request to request: its turns are read before a text is generated, and the new turn is
 * added when that has succeeded.
 */

/** What a user wrote, and what was answered. */
export interface SessionTurn {
  readonly prompt: string;
  readonly response: string;
}

export interface SessionHost {
  readonly signal: AbortSignal;
  /** The turns of a session, the oldest first; none of one that is not known. */
  session(id: string): Promise<{ readonly turns: readonly SessionTurn[] }>;
  /** `isCut`: a text was too long to be kept whole. */
  remember(id: string, turn: SessionTurn): Promise<{ readonly isCut: boolean }>;
}

export interface SessionJob {
  readonly metadata?:
    | { readonly session_id?: string | undefined; readonly conversation_context?: string | undefined }
    | undefined;
}

export function messagesOfTurns(turns: readonly SessionTurn[]): ChatTurn[] {
  return turns.flatMap(({ prompt, response }): ChatTurn[] => [
    { role: "user", content: prompt },
    { role: "assistant", content: response },
  ]);
}

/** Whether messages are a whole conversation, which needs nothing of what is remembered. */
export function hasAnswers(messages: readonly ChatTurn[]): boolean {
  return messages.some(({ role }) => role === "assistant");
}

/** What a request asks: its last message of the user's, with those of the user's right before it. */
export function newestQuestion(messages: readonly ChatTurn[]): string {
  const end = messages.findLastIndex(({ role }) => role === "user") + 1;
  const before = messages.slice(0, end).findLastIndex(({ role }) => role === "assistant") + 1;
  const asked = messages.slice(before, end).filter(({ role }) => role === "user");
  return asked.map(({ content }) => content).join("\n\n");
}

/** Messages of a request with what came before: turns go behind the system's message, a text into it. */
export function withEarlier(
  messages: readonly ChatTurn[],
  { turns, context }: { readonly turns: readonly SessionTurn[]; readonly context?: string | undefined },
): ChatTurn[] {
  const begin = messages[0]?.role === "system" ? 1 : 0;
  const system = withContext(messages[begin - 1]?.content, context);
  const head: ChatTurn[] = system === undefined ? [] : [{ role: "system", content: system }];
  return [...head, ...messagesOfTurns(turns), ...messages.slice(begin)];
}

/** A system message that ends with what was said before. */
export function withContext<System extends string | undefined>(system: System, context: string | undefined) {
  if (context === undefined) return system;
  const before = `What was said before:\n${context}`;
  return system === undefined ? before : `${system}\n\n${before}`;
}

export interface NewTurn extends SessionTurn {
  readonly session: string;
  /** Those that the model was given. */
  readonly turns: readonly SessionTurn[];
  /** Messages that were put before those turns, the system's not counted. */
  readonly before: number;
}

/**
 * Adds a turn to its session, and reports it with the output that it came from.
 * @throws the signal's reason: what was stopped is not remembered; what the host throws
 */
export async function remembered<Output extends GenerationOutput>(
  output: Output,
  { session, turns, before, prompt, response }: NewTurn,
  host: SessionHost,
): Promise<Output> {
  host.signal.throwIfAborted();
  const { isCut } = await host.remember(session, { prompt, response });
  return { ...output, metadata: { ...output.metadata, ...readReport(output, turns, before), session_turn_cut: isCut } };
}

/** How many of a session's turns the model has read: the oldest messages may have had no room. */
export function readReport({ metadata }: GenerationOutput, turns: readonly SessionTurn[], before: number) {
  const messages = typeof metadata.dropped_turns === "number" ? metadata.dropped_turns - before : 0;
  const dropped = Math.min(turns.length, Math.max(0, Math.ceil(messages / 2)));
  return { session_turns: turns.length - dropped, session_turns_dropped: dropped };
}
