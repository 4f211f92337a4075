// @ts-check
import { ApiError } from "./api.js";
import { part, showText } from "./dom.js";
import { ago } from "./words.js";

/*
 * A part of the page that is loaded by itself. One that cannot be loaded keeps what it shows, and says how old that is and
 * why there is nothing newer; the others go on.
 */
export class Panel {
  #load;
  #age;
  /** @type {number | null} */
  #loadedAtMs = null;

  /**
   * @param {string} name its element's data-part, but for the ending "-age"
   * @param {() => Promise<void>} load requests and shows
   */
  constructor(name, load) {
    this.#load = load;
    this.#age = part(document, `${name}-age`, HTMLElement);
  }

  get isLoaded() {
    return this.#loadedAtMs !== null;
  }

  /**
   * @returns {Promise<unknown>} why it could not be loaded, null when it was
   * @throws {ApiError} when the container needs a key, which concerns the whole page
   */
  async refresh() {
    try {
      await this.#load();
      this.#loadedAtMs = Date.now();
      this.#show("");
      return null;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      const age = this.#loadedAtMs === null ? "Not known" : `As of ${ago(new Date(this.#loadedAtMs).toISOString())}`;
      this.#show(`${age}: ${reason}`);
      return error;
    }
  }

  /** @param {string} text */
  #show(text) {
    showText(this.#age, text);
    this.#age.parentElement?.classList.toggle("stale", text !== "");
  }
}
