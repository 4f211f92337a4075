// @ts-check
import { ApiError } from "./api.js";

/*
 * A conversation with the language model, remembered by the container. This tab keeps its id, as it keeps the key, so that a
 * reload shows it again and the model goes on with it.
 */

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("../../api/chat.ts").ChatAnswer} Answer */
/** @typedef {{ prompt: string, response: string }} Turn */
/** @typedef {{ model?: string, temperature?: number, max_tokens?: number }} Settings what is left out is the model's own */

const storageName = "ourvidz.chat";

export class Conversation {
  #api;
  #id = sessionStorage.getItem(storageName) ?? newId();

  /** @param {Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * What the container remembers of it, the oldest turn first.
   * @returns {Promise<Turn[]>} none when it has been forgotten
   */
  async turns() {
    if (sessionStorage.getItem(storageName) === null) return [];
    try {
      /** @type {{ turns: Turn[] }} */
      const { turns } = await this.#api.get(`/chat/sessions/${this.#id}`);
      return turns;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      this.leave();
      return [];
    }
  }

  /** Goes on with an empty one; the container keeps this one until its time is over. */
  leave() {
    this.#id = newId();
    sessionStorage.removeItem(storageName);
  }

  /** Goes on with an empty one, and has the container forget this one. */
  async begin() {
    const before = sessionStorage.getItem(storageName);
    this.leave();
    if (before !== null) await this.#api.call("DELETE", `/chat/sessions/${before}`);
  }

  /**
   * Asks, and yields the answer as it grows.
   *
   * @param {string} prompt
   * @param {Settings} settings
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<{ delta: string } | { answer: Answer }>}
   * @throws {ApiError} also when the answer breaks off
   */
  async *ask(prompt, settings, signal) {
    const body = { ...settings, prompt, stream: true, metadata: { session_id: this.#id } };
    let isWhole = false;
    for await (const { event, data } of this.#api.stream("/chat", body, signal)) {
      if (event === "error") throw brokenOff(/** @type {Refusal} */ (data));
      if (event === "text") yield/** @type {{ delta: string }} */ (data);
      if (event !== "done") continue;
      isWhole = true;
      sessionStorage.setItem(storageName, this.#id);
      yield { answer: /** @type {Answer} */ (data) };
    }
    if (!isWhole) throw new ApiError(0, "NO_ANSWER", "The connection ended before the answer did.");
  }
}

/** @typedef {{ error: string, code: string, details?: unknown }} Refusal */

/** @param {Refusal} refusal */
function brokenOff({ error, code, details }) {
  return new ApiError(503, code, error, { details });
}

/** Not `randomUUID`, which a page has only where its address is safe. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
