// @ts-check
import { copyOf, element, part, setText, showText } from "./dom.js";

/*
 * The turns of a conversation, as texts. While an answer grows, the log stays at its end only for a reader who is there, and
 * is marked as busy, so that a screen reader reads the answer when it is whole.
 */

/** How far from the end a reader still counts as being there. */
const nearPixels = 40;
const maxTurns = 200;
/** Of one text: more than any model answers here, and a bound for those that are restored. */
const maxCharacters = 50_000;

const names = { user: "You", assistant: "Model" };

export class ChatLog {
  #place = part(document, "chat-log", HTMLElement);
  #newest = part(document, "chat-newest", HTMLButtonElement);

  constructor() {
    this.#place.addEventListener("scroll", () => this.#showNewest(), { passive: true });
    this.#newest.addEventListener("click", () => {
      this.toEnd();
      this.#place.focus();
    });
  }

  /** @param {string} text shown where no turn is */
  clear(text) {
    this.#place.replaceChildren(element("p", "empty", text));
    this.setBusy(false);
    this.#showNewest();
  }

  /** @param {keyof typeof names} role @param {string} text @returns {ShownTurn} */
  add(role, text) {
    this.#place.querySelector(".empty")?.remove();
    const made = copyOf("turn");
    made.dataset.role = role;
    setText(part(made, "who", HTMLElement), names[role]);
    const turn = new ShownTurn(made, (change) => this.#followed(change));
    this.#followed(() => this.#place.append(made));
    while (this.#place.childElementCount > maxTurns) this.#place.firstElementChild?.remove();
    turn.append(text);
    return turn;
  }

  toEnd() {
    this.#place.scrollTop = this.#place.scrollHeight;
    this.#showNewest();
  }

  /** @param {boolean} isBusy */
  setBusy(isBusy) {
    this.#place.ariaBusy = String(isBusy);
  }

  /** Changes something, and stays at the end when the reader was there. @param {() => void} change */
  #followed(change) {
    const follows = this.#isAtEnd();
    change();
    if (follows) this.toEnd();
    else this.#showNewest();
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#place;
    return scrollHeight - scrollTop - clientHeight < nearPixels;
  }

  #showNewest() {
    this.#newest.hidden = this.#isAtEnd();
  }
}

/** One turn, which may still grow. */
export class ShownTurn {
  #element;
  #change;
  #text = document.createTextNode("");
  /** What has come since the last frame. */
  #pending = "";
  #frame = 0;

  /** @param {HTMLElement} turn @param {(change: () => void) => void} change */
  constructor(turn, change) {
    this.#element = turn;
    this.#change = change;
    part(turn, "text", HTMLElement).append(this.#text);
  }

  /** Once a frame: pieces come faster than anybody sees them. @param {string} text */
  append(text) {
    this.#pending += text;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#flush());
  }

  /** @param {string} text @param {"" | "broken"} [state] */
  note(text, state = "") {
    this.#flush();
    this.#element.dataset.state = state;
    this.#change(() => showText(part(this.#element, "note", HTMLElement), text));
  }

  #flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const room = maxCharacters - this.#text.length;
    const shown = this.#pending.slice(0, Math.max(0, room));
    const isCut = shown.length < this.#pending.length && room > 0;
    this.#pending = "";
    if (shown !== "") this.#change(() => this.#text.appendData(isCut ? `${shown}… (the rest is not shown)` : shown));
  }
}
