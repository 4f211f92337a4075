// @ts-check
import { copyOf, part, setText, showText } from "./dom.js";
import { sentenceOf } from "./sentence.js";
import { counted } from "./words.js";

/*
 * Beside a prompt: has it made fuller by the language model, and shows both before anything is changed.
 *
 *   at rest ──Enhance──► asking ──answered──► both are shown ──Use it, Keep mine──► at rest
 *      ▲                   │ ▲                     │
 *      └──────Cancel───────┘ └─────Try again───────┘
 */

/** @typedef {import("../../api/enhance.ts").EnhanceAnswer} Answer */
/** @typedef {import("../../api/worker-info.ts").PresetView} Preset */
/** @typedef {{ prompt: string, user_id?: string | undefined }} Idea */
/** @typedef {{ idea: () => Idea, use: (prompt: string) => void, ask: (body: object, signal: AbortSignal) => Promise<Answer> }} How */

const usualPreset = "photographic";

export class Enhance {
  element = copyOf("enhance");
  #how;
  #run = part(this.element, "run", HTMLButtonElement);
  #cancel = part(this.element, "cancel", HTMLButtonElement);
  #preset = part(this.element, "preset", HTMLSelectElement);
  #result = part(this.element, "result", HTMLElement);
  /** @type {Preset["target"]} */
  #target = "sdxl";
  /** @type {AbortController | null} */
  #asking = null;

  /** @param {How} how */
  constructor(how) {
    this.#how = how;
    this.#run.addEventListener("click", () => void this.#ask());
    this.#cancel.addEventListener("click", () => this.#asking?.abort());
    this.#on("again", () => void this.#ask());
    this.#on("keep", () => this.#rest());
    this.#on("use", () => {
      this.#how.use(part(this.element, "after", HTMLElement).textContent ?? "");
      this.#rest();
    });
  }

  /**
   * Offers the presets of what draws the prompt; what was under way or shown for another is dropped.
   * @param {Preset["target"]} target
   * @param {readonly Preset[]} presets
   */
  offer(target, presets) {
    this.#asking?.abort();
    this.#close();
    this.#target = target;
    const chosen = this.#preset.value || usualPreset;
    const ofTarget = presets.filter((preset) => preset.target === target);
    this.#preset.replaceChildren(...ofTarget.map(optionOf));
    if (ofTarget.some(({ name }) => name === chosen)) this.#preset.value = chosen;
  }

  async #ask() {
    const { prompt, user_id: userId } = this.#how.idea();
    this.#close();
    if (prompt.trim() === "") {
      this.#showProblem("Write an idea first, such as “apple”.");
      return;
    }
    this.#asking?.abort();
    const asking = new AbortController();
    this.#setAsking(asking);
    const preset = this.#preset.value === "" ? {} : { preset: this.#preset.value };
    const body = { prompt, target_model: this.#target, user_id: userId, ...preset };
    try {
      const answer = await this.#how.ask(body, asking.signal);
      if (this.#asking === asking) this.#show(prompt, answer);
    } catch (error) {
      if (!asking.signal.aborted) this.#showProblem(sentenceOf(error));
    } finally {
      if (this.#asking === asking) this.#setAsking(null);
    }
  }

  /** @param {string} before @param {Answer} answer */
  #show(before, { success, enhanced_prompt: after, enhanced_prompt_tokens: tokens, model, fallback_reason: reason }) {
    if (!success) {
      this.#showProblem(`Not enhanced: ${reason ?? "the model changed nothing"}`);
      return;
    }
    const facts = [model ?? "", tokens === undefined ? "" : counted(tokens, "token"), reason ?? ""];
    setText(part(this.element, "before", HTMLElement), before);
    setText(part(this.element, "after", HTMLElement), after);
    this.#showState(["Enhanced", ...facts].filter((text) => text !== "").join(" · "));
    this.#result.hidden = false;
  }

  /** @param {AbortController | null} asking */
  #setAsking(asking) {
    const hadFocus = document.activeElement === this.#run || document.activeElement === this.#cancel;
    this.#asking = asking;
    this.#run.hidden = asking !== null;
    this.#cancel.hidden = asking === null;
    if (asking !== null) this.#showState("Enhancing");
    else if (this.#result.hidden) this.#showState("");
    if (hadFocus) (asking === null ? this.#run : this.#cancel).focus();
  }

  #close() {
    this.#result.hidden = true;
    this.#showState("");
    this.#showProblem("");
  }

  #rest() {
    this.#close();
    this.#run.focus();
  }

  /** @param {string} text */
  #showState(text) {
    setText(part(this.element, "state", HTMLElement), text);
  }

  /** @param {string} text */
  #showProblem(text) {
    showText(part(this.element, "problem", HTMLElement), text);
  }

  /** @param {string} name @param {() => void} listener */
  #on(name, listener) {
    part(this.element, name, HTMLButtonElement).addEventListener("click", listener);
  }
}

/** @param {Preset} preset */
function optionOf({ name, description }) {
  const option = new Option(name, name);
  option.title = description;
  return option;
}
