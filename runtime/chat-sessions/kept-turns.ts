import { sessionLimits } from "#contract/chat-sessions.ts";
import type { StoredTurn } from "./session-store.ts";

const bytesOf = ({ prompt, response }: StoredTurn) => Buffer.byteLength(prompt) + Buffer.byteLength(response);

/** What a session has when a turn was added: the rule of `SessionStore.append`. */
export function keptTurns(turns: readonly StoredTurn[], added: StoredTurn): readonly StoredTurn[] {
  if (turns.some(({ id }) => id === added.id)) return turns;
  const others = turns.filter(({ jobId, runId }) => jobId !== added.jobId || runId === added.runId);
  const kept = [...others, added].slice(-sessionLimits.turns);
  let bytes = kept.reduce((sum, turn) => sum + bytesOf(turn), 0);
  const first = kept.findIndex((turn) => {
    const fits = bytes <= sessionLimits.sessionBytes;
    bytes -= bytesOf(turn);
    return fits;
  });
  return kept.slice(first);
}
