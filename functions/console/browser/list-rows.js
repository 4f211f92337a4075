// @ts-check
import { element } from "./dom.js";

/*
 * A list as rows: of LoRA files with their strengths, of addresses of pictures, or of texts. The field itself is a text area that holds the list as JSON
 * and is not shown: the rows are made from it and written to it. Keys of an entry that have no input here stay as they are.
 */

/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Control */
/** @typedef {"files" | "pictures" | "texts"} What */

const adds = { files: "Add a LoRA", pictures: "Add an address", texts: "Add one" };
const labels = { files: "Name or address of the LoRA", pictures: "Address of the picture", texts: "Text" };
const maxRows = 8;
const names = ["path", "source", "url", "name"];
const scales = ["scale", "strength", "weight", "multiplier"];

export class ListRows {
  #control;
  #what;
  #rows = element("div", "list-rows");
  #add = element("button", "small-button quiet");
  element = element("div", "list-field");

  /** @param {Control} control @param {What} what */
  constructor(control, what) {
    this.#control = control;
    this.#what = what;
    control.hidden = true;
    this.#add.type = "button";
    this.#add.textContent = adds[what];
    this.#add.addEventListener("click", () => {
      this.#append(what === "files" ? { path: "", scale: 1 } : "");
      this.focus(this.#rows.childElementCount - 1);
    });
    // What was written here is shown already; what was entered by others, such as an upload, is not.
    control.addEventListener("change", (event) => {
      if (!(event instanceof CustomEvent)) this.show();
    });
    this.element.append(this.#rows, this.#add);
  }

  /** Makes the rows anew from what the field holds. */
  show() {
    this.#rows.replaceChildren();
    for (const entry of this.#list()) this.#append(entry);
    this.#showAdd();
  }

  /** @param {number} [index] of a row; without rows the button that adds one has the focus */
  focus(index = 0) {
    const row = this.#rows.children[index];
    (row === undefined ? this.#add : (rowEntries.get(row)?.name ?? this.#add)).focus();
  }

  /** @returns {unknown[]} */
  #list() {
    try {
      const value = JSON.parse(this.#control.value);
      return Array.isArray(value) ? value : [];
    } catch {
      return [];
    }
  }

  /** @param {unknown} entry */
  #append(entry) {
    const row = element("div", "list-row");
    const isFile = this.#what === "files";
    const known = typeof entry === "object" && entry !== null ? { ...entry } : { path: entry };
    const name = input(labels[this.#what], isFile ? "watercolour" : "");
    name.value = String(valueIn(known, names) ?? "");
    const scale = input("Strength", "1");
    scale.inputMode = "decimal";
    scale.className = "list-scale";
    scale.value = String(valueIn(known, scales) ?? "");
    const remove = element("button", "small-button quiet", "Remove");
    remove.type = "button";
    remove.addEventListener("click", () => {
      row.remove();
      this.#write();
      this.#add.focus();
    });
    row.append(name, ...(isFile ? [scale] : []), remove);
    rowEntries.set(row, { known, name, scale: isFile ? scale : null });
    for (const each of [name, scale]) each.addEventListener("input", () => this.#write());
    this.#rows.append(row);
    this.#showAdd();
  }

  #write() {
    const entries = [...this.#rows.children].flatMap((row) => {
      const entry = rowEntries.get(row);
      return entry === undefined || entry.name.value.trim() === "" ? [] : [entryOf(entry)];
    });
    this.#control.value = entries.length === 0 ? "" : JSON.stringify(entries);
    this.#showAdd();
    this.#control.dispatchEvent(new Event("input", { bubbles: true }));
    this.#control.dispatchEvent(new CustomEvent("change", { bubbles: true }));
  }

  #showAdd() {
    this.#add.hidden = this.#rows.childElementCount >= maxRows;
  }
}

/** @typedef {{ known: object, name: HTMLInputElement, scale: HTMLInputElement | null }} Entry */
/** @type {WeakMap<globalThis.Element, Entry>} */
const rowEntries = new WeakMap();

/** What is no number is left as it is: the container says what is wrong with it. @param {Entry} entry @returns {unknown} */
function entryOf({ known, name, scale }) {
  if (scale === null) return name.value;
  const rest = Object.fromEntries(Object.entries(known).filter(([key]) => ![...names, ...scales].includes(key)));
  const text = scale.value.trim();
  const strength = text === "" ? {} : { scale: Number.isFinite(Number(text)) ? Number(text) : text };
  return { ...rest, path: name.value.trim(), ...strength };
}

/** @param {object} entry @param {string[]} keys */
function valueIn(entry, keys) {
  return Object.entries(entry).find(([key, value]) => keys.includes(key) && value !== undefined && value !== null)?.[1];
}

/** @param {string} label @param {string} placeholder */
function input(label, placeholder) {
  const made = element("input");
  made.type = "text";
  made.autocomplete = "off";
  made.spellcheck = false;
  made.ariaLabel = label;
  made.placeholder = placeholder;
  return made;
}
