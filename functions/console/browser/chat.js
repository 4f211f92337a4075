// @ts-check
import { ChatLog } from "./chat-log.js";
import { Conversation } from "./conversation.js";
import { part, showText } from "./dom.js";
import { sentenceOf } from "./sentence.js";
import { counted, duration } from "./words.js";

/*
 * The panel in which somebody talks with the language model:
 *
 *   at rest ──Send──► answering ──answered, Stop, or it breaks off──► at rest
 *
 * Closed, it goes on: who opens it again finds the answer.
 */

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("./conversation.js").Answer} Answer */
/** @typedef {import("./conversation.js").Settings} Settings */

const welcome = "Ask something. The model answers before the jobs that wait for it.";
const noModel =
  "This container has no language model. Put one into its models folder as “chat”, as the page on models of the documentation says, then open this again.";
export class Chat {
  #api;
  #conversation;
  #log = new ChatLog();
  #dialog = part(document, "chat-dialog", HTMLDialogElement);
  #input = part(document, "chat-input", HTMLTextAreaElement);
  #send = part(document, "chat-send", HTMLButtonElement);
  #stop = part(document, "chat-stop", HTMLButtonElement);
  #models = part(document, "chat-model", HTMLSelectElement);
  /** Ends the answer that is under way; null at rest. @type {AbortController | null} */
  #answering = null;
  #isRestored = false;

  /** @param {Api} api */
  constructor(api) {
    this.#api = api;
    this.#conversation = new Conversation(api);
    this.#log.clear(welcome);
    part(document, "chat-close", HTMLButtonElement).addEventListener("click", () => this.#dialog.close());
    part(document, "chat-new", HTMLButtonElement).addEventListener("click", () => this.#begin());
    this.#stop.addEventListener("click", () => this.#answering?.abort());
    part(document, "chat-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#ask();
    });
    this.#input.addEventListener("keydown", (event) => {
      // Enter also ends the choice of a character where one is composed.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.#ask();
    });
  }

  /** @param {() => void} listener called when the reader closes it */
  onClose(listener) {
    this.#dialog.addEventListener("close", listener);
  }

  /** Who uses this tab next does not find it. */
  forget() {
    this.#answering?.abort();
    this.#conversation.leave();
  }

  close() {
    this.#dialog.close();
  }

  open() {
    if (this.#dialog.open) return;
    this.#dialog.showModal();
    this.#log.toEnd();
    void this.#prepare();
  }

  /** Shows what is remembered, once, and which models there are now. */
  async #prepare() {
    try {
      await this.#offerModels();
      if (this.#isRestored) return;
      const turns = await this.#conversation.turns();
      this.#isRestored = true;
      if (this.#answering !== null) return;
      for (const { prompt, response } of turns) {
        this.#log.add("user", prompt);
        this.#log.add("assistant", response);
      }
      this.#log.toEnd();
    } catch (error) {
      this.#report(error);
    }
  }

  async #offerModels() {
    /** @type {{ data: { id: string }[] }} */
    const { data } = await this.#api.get("/v1/models");
    const chosen = this.#models.value;
    const [usual, ...others] = data.map(({ id }) => id);
    const options = usual === undefined ? [] : [new Option(usual, ""), ...others.map((name) => new Option(name, name))];
    this.#models.replaceChildren(...options);
    this.#models.value = others.includes(chosen) ? chosen : "";
    this.#send.disabled = usual === undefined;
    if (usual === undefined) this.#show(noModel);
    else if (part(document, "chat-problem", HTMLElement).textContent === noModel) this.#show("");
  }

  #begin() {
    this.#answering?.abort();
    this.#conversation.begin().catch((error) => this.#report(error));
    this.#log.clear(welcome);
    this.#show("");
    this.#input.focus();
  }

  async #ask() {
    const question = this.#input.value.trim();
    const settings = this.#settings();
    if (question === "" || settings === null || this.#answering !== null || this.#send.disabled) return;
    this.#show("");
    this.#input.value = "";
    const answering = this.#setAnswering(new AbortController());
    this.#log.add("user", question);
    const turn = this.#log.add("assistant", "");
    turn.note("Waits for the model");
    this.#log.toEnd();
    let hasText = false;
    try {
      for await (const each of this.#conversation.ask(question, settings, answering.signal)) {
        if ("answer" in each) turn.note(factsOf(each.answer));
        else {
          if (!hasText) turn.note("");
          hasText = true;
          turn.append(each.delta);
        }
      }
    } catch (error) {
      turn.note(answering.signal.aborted ? "Stopped." : "Not answered.", "broken");
      if (!answering.signal.aborted) this.#report(error);
      // It can be sent again as it is.
      if (!hasText && this.#input.value === "") this.#input.value = question;
    } finally {
      if (this.#answering === answering) this.#setAnswering(null);
    }
  }

  /**
   * @template {AbortController | null} Answering
   * @param {Answering} answering
   * @returns {Answering}
   */
  #setAnswering(answering) {
    this.#answering = answering;
    this.#log.setBusy(answering !== null);
    const hadFocus = document.activeElement === this.#stop;
    this.#send.hidden = answering !== null;
    this.#stop.hidden = answering === null;
    if (hadFocus) this.#input.focus();
    return answering;
  }

  /** @returns {Settings | null} null when one of them cannot be read, which is then shown */
  #settings() {
    /** @type {Settings} */
    const settings = this.#models.value === "" ? {} : { model: this.#models.value };
    for (const [name, field] of /** @type {const} */ ([
      ["temperature", "chat-temperature"],
      ["max_tokens", "chat-tokens"],
    ])) {
      const text = part(document, field, HTMLInputElement).value.trim();
      if (text === "") continue;
      const value = Number(text);
      if (!Number.isFinite(value)) {
        this.#show(`${name === "temperature" ? "The temperature" : "The number of tokens"} must be a number.`);
        return null;
      }
      settings[name] = value;
    }
    return settings;
  }

  /** @param {unknown} error */
  #report(error) {
    this.#show(sentenceOf(error));
  }

  /** @param {string} text */
  #show(text) {
    showText(part(document, "chat-problem", HTMLElement), text);
  }
}

/** @param {Answer} answer */
function factsOf({ model, tokens_generated, generation_time, finish_reason, dropped_turns }) {
  return [
    model,
    counted(tokens_generated, "token"),
    duration(generation_time),
    ...(finish_reason === "length" ? ["ended at its limit of tokens"] : []),
    ...(dropped_turns > 0 ? [`${counted(dropped_turns, "older message")} had no room`] : []),
  ].join(" · ");
}
