import { randomUUID } from "node:crypto";
import { cutToBytes, type SessionTurn, sessionLimits } from "#contract/chat-sessions.ts";
import { CodedError, RetryableError, toErrorReport } from "#contract/errors.ts";
import { storableText } from "#contract/storable.ts";
import type { NewTurn, SessionKey, SessionStore, StoredSession } from "./session-store.ts";

/** When a request whose session cannot be reached may be made again. */
const retrySeconds = 10;

/** In one transaction of the store. */
const sweepBatch = 500;
/** A container sweeps again some hours later. */
const sweepBatches = 200;

/** The sessions of chat that a container knows. All methods throw RetryableError SESSIONS_UNREACHABLE. */
export class ChatSessions {
  readonly #store: SessionStore;
  readonly #timeoutMs: number;

  /** @param timeoutMs how long the store may take: a model waits for it, and others for the model */
  constructor(store: SessionStore, timeoutMs = 8000) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
  }

  /** Null for one that never was, has expired or was forgotten. */
  async read(session: SessionKey): Promise<StoredSession | null> {
    return await this.#reached(this.#store.read(session));
  }

  /** Adds a turn, without the end of a text that is too long. */
  async remember(
    session: SessionKey,
    { prompt, response, ...by }: SessionTurn & Pick<NewTurn, "jobId" | "runId">,
  ): Promise<{ readonly isCut: boolean }> {
    const whole = { prompt: storableText(prompt), response: storableText(response) };
    const kept = { prompt: cut(whole.prompt), response: cut(whole.response) };
    await this.#reached(this.#store.append(session, { ...by, ...kept, id: randomUUID() }));
    return { isCut: kept.prompt !== whole.prompt || kept.response !== whole.response };
  }

  /** Whether there was one. */
  async forget(session: SessionKey): Promise<boolean> {
    return await this.#reached(this.#store.forget(session));
  }

  /** Answers how many there were. */
  async forgetAll(userId: string): Promise<number> {
    return await this.#reached(this.#store.forgetAll(userId));
  }

  /** Removes what is left of expired ones; answers how many. */
  async sweep(): Promise<number> {
    let swept = 0;
    for (let batch = 0; batch < sweepBatches; batch += 1) {
      const count = await this.#reached(this.#store.sweep(sweepBatch));
      swept += count;
      if (count < sweepBatch) break;
    }
    return swept;
  }

  async #reached<Answer>(answer: Promise<Answer>): Promise<Answer> {
    const limit = Promise.withResolvers<never>();
    const late = new CodedError("TIMED_OUT", `it did not answer within ${this.#timeoutMs / 1000} s.`);
    const timer = setTimeout(() => limit.reject(late), this.#timeoutMs);
    try {
      return await Promise.race([answer, limit.promise]);
    } catch (cause) {
      const { code, message } = toErrorReport(cause);
      throw new RetryableError(
        `The memory of conversations cannot be reached: ${message} Try again in ${retrySeconds} s, or leave metadata.session_id out to go on without memory.`,
        { code: "SESSIONS_UNREACHABLE", delaySeconds: retrySeconds, details: { code }, cause },
      );
    } finally {
      clearTimeout(timer);
    }
  }
}

const cut = (text: string) => cutToBytes(text, sessionLimits.textBytes);
