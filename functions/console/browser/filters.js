// @ts-check
import { part } from "./dom.js";

/* What narrows the results: a text, a job type, a user. */

/** @typedef {import("./results.js").Filter} Filter */

const pauseMs = 300;

export class Filters {
  #text = part(document, "filter-text", HTMLInputElement);
  #type = part(document, "filter-type", HTMLSelectElement);
  #user = part(document, "filter-user", HTMLInputElement);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #before = JSON.stringify(this.#read());

  /** @param {(filter: Filter) => void} narrow called when something else is wished for */
  constructor(narrow) {
    const form = part(document, "filters", HTMLFormElement);
    const changed = () => {
      clearTimeout(this.#timer);
      const filter = this.#read();
      const now = JSON.stringify(filter);
      if (now === this.#before) return;
      this.#before = now;
      narrow(filter);
    };
    form.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(changed, pauseMs);
    });
    form.addEventListener("change", changed);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      changed();
    });
  }

  /** @param {readonly string[]} types that can be chosen */
  offer(types) {
    const [all] = this.#type.options;
    this.#type.replaceChildren(...(all === undefined ? [] : [all]), ...types.map((type) => new Option(type, type)));
  }

  /** @returns {Filter} */
  #read() {
    return { text: this.#text.value.trim(), type: this.#type.value, user: this.#user.value.trim() };
  }
}
