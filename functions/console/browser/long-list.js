// @ts-check
import { element } from "./dom.js";

/*
 * A list that may have thousands of entries: a row of lists, of which the browser lays out and paints those in sight. Its
 * elements stay those of their entries, with their focus and pictures. They are made, renewed and removed a few in each frame.
 */

/** Entries in one of the lists: a multiple of every number of columns that a gallery has, so that none has a gap. */
const perList = 60;
const madePerFrame = 120;
const removedPerFrame = 600;
/** Texts such as "5 min ago" are renewed this often. */
const renewMs = 10_000;

/** @template Entry */
export class LongList {
  #place;
  #className;
  #how;
  /** @type {Map<string, { made: HTMLElement, entry: Entry, updatedAtMs: number }>} */
  #shown = new Map();
  /** @type {HTMLElement[]} */
  #lists = [];
  /** Hidden ones of entries that are all gone. @type {HTMLElement[]} */
  #gone = [];
  /** @type {readonly Entry[] | null} */
  #entries = null;
  /** Whether all entries are shown as they are now. */
  #isWhole = true;
  #shownAtMs = 0;

  /**
   * @param {HTMLElement} place
   * @param {string} className of each list
   * @param {{ key: (entry: Entry) => string, make: (entry: Entry) => HTMLElement, update: (made: HTMLElement, entry: Entry) => void }} how
   */
  constructor(place, className, how) {
    this.#place = place;
    this.#className = className;
    this.#how = how;
  }

  /**
   * @param {readonly Entry[]} entries another array whenever something in it has changed
   * @returns {boolean} whether the next frame has to go on with it
   */
  show(entries) {
    const nowMs = performance.now();
    const isSame = entries === this.#entries;
    if (!isSame) this.#remove(entries);
    for (const list of this.#gone.splice(0, removedPerFrame / perList)) list.remove();
    const hasGone = this.#gone.length > 0;
    if (isSame && this.#isWhole && nowMs - this.#shownAtMs < renewMs) return hasGone;
    this.#entries = entries;
    this.#shownAtMs = nowMs;
    this.#arrange(this.#elementsOf(entries, nowMs));
    return hasGone || !this.#isWhole;
  }

  /** Those that are not among the entries any more. @param {readonly Entry[]} entries */
  #remove(entries) {
    const keys = new Set(entries.map(this.#how.key));
    const gone = [...this.#shown].filter(([key]) => !keys.has(key));
    const isAll = gone.length === this.#shown.size;
    for (const [key, { made }] of gone) {
      this.#shown.delete(key);
      if (!isAll) made.remove();
    }
    if (!isAll) return;
    for (const list of this.#lists) list.hidden = true;
    this.#gone.push(...this.#lists.splice(0));
  }

  /** As far as they are made. @param {readonly Entry[]} entries @param {number} nowMs */
  #elementsOf(entries, nowMs) {
    const { key, make, update } = this.#how;
    let left = madePerFrame;
    const elements = [];
    this.#isWhole = true;
    for (const entry of entries) {
      const name = key(entry);
      const known = this.#shown.get(name);
      const isCurrent = known?.entry === entry && nowMs - known.updatedAtMs < renewMs;
      if (!isCurrent && left === 0) this.#isWhole = false;
      else if (!isCurrent) {
        left--;
        const made = known?.made ?? make(entry);
        made.dataset.key = name;
        update(made, entry);
        this.#shown.set(name, { made, entry, updatedAtMs: nowMs });
      }
      const shown = this.#shown.get(name);
      if (shown !== undefined) elements.push(shown.made);
    }
    return elements;
  }

  /** @param {readonly HTMLElement[]} elements */
  #arrange(elements) {
    const count = Math.ceil(elements.length / perList);
    for (let at = 0; at < count; at++) {
      const list = this.#lists[at] ?? this.#append();
      let next = list.firstElementChild;
      for (const made of elements.slice(at * perList, (at + 1) * perList)) {
        if (made === next) next = next.nextElementSibling;
        else list.insertBefore(made, next);
      }
    }
    for (const list of this.#lists.splice(count)) list.remove();
  }

  #append() {
    const list = element("ul", this.#className);
    this.#lists.push(list);
    this.#place.append(list);
    return list;
  }
}
