import { z } from "zod";
import { sessionLimits } from "#contract/chat-sessions.ts";
import type { NewTurn, SessionKey, SessionStore, StoredSession } from "#runtime/chat-sessions/session-store.ts";
import type { RpcClient } from "./rpc-client.ts";

const count = z.number().int().min(0);
const storedTurn = z
  .object({
    id: z.string(),
    job_id: z.string(),
    run_id: z.string(),
    prompt: z.string(),
    response: z.string(),
    created_at_ms: z.number(),
  })
  .transform(({ job_id, run_id, created_at_ms, ...turn }) => ({
    ...turn,
    jobId: job_id,
    runId: run_id,
    createdAtMs: created_at_ms,
  }));
const storedSession = z
  .object({ turns: z.array(storedTurn), expires_at_ms: z.number() })
  .transform(({ turns, expires_at_ms }): StoredSession => ({ turns, expiresAtMs: expires_at_ms }))
  .nullable();

const limits = {
  keep_seconds: sessionLimits.keepSeconds,
  max_turns: sessionLimits.turns,
  max_bytes: sessionLimits.sessionBytes,
  max_sessions: sessionLimits.sessions,
};

/** Sessions of chat in the Supabase project's database. */
export class SupabaseSessions implements SessionStore {
  readonly #client: RpcClient;

  constructor(client: RpcClient) {
    this.#client = client;
  }

  async read(session: SessionKey): Promise<StoredSession | null> {
    return await this.#client.call("read_chat_session", { args: () => argsOf(session), answer: storedSession });
  }

  async append(session: SessionKey, { jobId, runId, ...turn }: NewTurn): Promise<void> {
    const args = { ...argsOf(session), turn: { ...turn, job_id: jobId, run_id: runId }, limits };
    await this.#client.call("append_chat_turn", { args: () => args, answer: count });
  }

  async forget(session: SessionKey): Promise<boolean> {
    return (await this.#forget(argsOf(session))) > 0;
  }

  async forgetAll(userId: string): Promise<number> {
    return await this.#forget({ user_id: userId, session_id: null });
  }

  async sweep(max: number): Promise<number> {
    return await this.#client.call("sweep_chat_sessions", { args: () => ({ max_sessions: max }), answer: count });
  }

  async #forget(args: { readonly user_id: string; readonly session_id: string | null }): Promise<number> {
    return await this.#client.call("forget_chat_sessions", { args: () => args, answer: count });
  }
}

const argsOf = ({ userId, sessionId }: SessionKey) => ({ user_id: userId, session_id: sessionId });
