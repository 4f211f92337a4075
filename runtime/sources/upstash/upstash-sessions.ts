import { z } from "zod";
import { sessionLimits } from "#contract/chat-sessions.ts";
import type { Keys } from "#contract/queue-keys.ts";
import type {
  NewTurn,
  SessionKey,
  SessionStore,
  StoredSession,
  StoredTurn,
} from "#runtime/chat-sessions/session-store.ts";
import type { RestClient } from "./rest-client.ts";

const number = z.coerce.number();
const sessionAnswer = z.union([z.tuple([]), z.tuple([number, z.array(z.string())])]);
const forgotten = z.tuple([number]);
const head = z.object({ id: z.string(), job: z.string(), run: z.string(), at: number });
const texts = z.object({ prompt: z.string(), response: z.string() });

/** Sessions of chat in Redis, where they expire by themselves. */
export class UpstashSessions implements SessionStore {
  readonly #client: RestClient;
  readonly #keys: Keys;

  constructor(client: RestClient, keys: Keys) {
    this.#client = client;
    this.#keys = keys;
  }

  async read(session: SessionKey): Promise<StoredSession | null> {
    const call = { keys: this.#keysOf(session), args: [session.sessionId] };
    const [expiresAtMs, turns] = sessionAnswer.parse(await this.#client.run("read-session", call));
    return expiresAtMs === undefined || turns === undefined ? null : { expiresAtMs, turns: turns.map(readTurn) };
  }

  async append(session: SessionKey, { id, jobId, runId, prompt, response }: NewTurn): Promise<void> {
    const request = {
      session: session.sessionId,
      turnsPrefix: this.#keys.chatTurnsPrefix(session.userId),
      id,
      job: jobId,
      run: runId,
      bytes: Buffer.byteLength(prompt) + Buffer.byteLength(response),
      keepMs: sessionLimits.keepSeconds * 1000,
      maxTurns: sessionLimits.turns,
      maxBytes: sessionLimits.sessionBytes,
      maxSessions: sessionLimits.sessions,
    };
    const args = [JSON.stringify(request), JSON.stringify({ prompt, response })];
    await this.#client.run("append-turn", { keys: this.#keysOf(session), args });
  }

  async forget(session: SessionKey): Promise<boolean> {
    const call = { keys: this.#keysOf(session), args: [session.sessionId] };
    const [count] = forgotten.parse(await this.#client.run("forget-session", call));
    return count > 0;
  }

  async forgetAll(userId: string): Promise<number> {
    const call = { keys: [this.#keys.chatSessions(userId)], args: [this.#keys.chatTurnsPrefix(userId)] };
    const [count] = forgotten.parse(await this.#client.run("forget-sessions", call));
    return count;
  }

  async sweep(): Promise<number> {
    return 0;
  }

  #keysOf({ userId, sessionId }: SessionKey): [string, string] {
    return [this.#keys.chatSessions(userId), this.#keys.chatTurns(userId, sessionId)];
  }
}

/** As `append-turn` keeps it: a head as JSON, a line feed, the texts as JSON. */
function readTurn(kept: string): StoredTurn {
  const end = kept.indexOf("\n");
  const { id, job, run, at } = head.parse(JSON.parse(kept.slice(0, end)));
  return { id, jobId: job, runId: run, createdAtMs: at, ...texts.parse(JSON.parse(kept.slice(end + 1))) };
}
