// @ts-check
import { element, showText } from "./dom.js";
import { addressOf, pictureAt } from "./references.js";

/*
 * A field that names a file: its address is typed, or the file is chosen, dropped or pasted here, and uploaded at once. A list of
 * pictures or of LoRA files gets another entry each time.
 */

/** @typedef {import("./api.js").Input} Input */
/** @typedef {import("./schema-fields.js").Field} Field */
/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Control */

/**
 * @typedef {object} Files
 * @property {(file: File, userId?: string) => Promise<Input>} upload
 * @property {(address: string, userId?: string) => Promise<Input | null>} find
 */

/** @typedef {Files & { owner: () => string | undefined }} OwnedFiles whose job the form describes */

const pictures = "image/png,image/jpeg,image/webp,image/gif";
const videos = "video/mp4,video/webm,video/quicktime";
const accepted = {
  picture: pictures,
  video: `${videos},image/gif`,
  "picture or video": `${pictures},${videos}`,
  weights: ".safetensors",
};
const maxFiles = 8;

export class FileField {
  #field;
  #control;
  #problem;
  #files;
  #thumb = element("span", "file-thumb");
  #choose = element("button", "quiet", "Choose file");
  /** Counts uploads: only the last one's answer is shown. */
  #uploads = 0;
  /** What stands in the field and its box. */
  element = element("div", "file-field");

  /** @param {Field} field @param {Control} control @param {HTMLElement} problem @param {OwnedFiles} files */
  constructor(field, control, problem, files) {
    this.#field = field;
    this.#control = control;
    this.#problem = problem;
    this.#files = files;
    const chooser = element("input");
    chooser.type = "file";
    chooser.hidden = true;
    chooser.accept = accepted[field.schema["x-input"] ?? "picture"];
    chooser.multiple = field.kind !== "file";
    chooser.addEventListener("change", () => {
      void this.#take(chooser.files);
      // The same file again is a choice too.
      chooser.value = "";
    });
    this.#choose.type = "button";
    this.#choose.addEventListener("click", () => chooser.click());
    this.#thumb.hidden = true;
    if (field.kind === "file" && control instanceof HTMLInputElement) control.placeholder = "Address, or drop a file";
    control.addEventListener("change", () => this.show());
    this.element.append(this.#thumb, control, this.#choose, chooser);
    this.#listen();
  }

  #listen() {
    const box = this.element;
    const isFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
    for (const name of /** @type {const} */ (["dragenter", "dragover"]))
      box.addEventListener(name, (event) => {
        if (!isFile(event)) return;
        event.preventDefault();
        box.classList.add("over");
      });
    box.addEventListener("dragleave", ({ relatedTarget }) => {
      if (!(relatedTarget instanceof Node && box.contains(relatedTarget))) box.classList.remove("over");
    });
    box.addEventListener("drop", (event) => {
      box.classList.remove("over");
      if (!isFile(event)) return;
      event.preventDefault();
      void this.#take(event.dataTransfer?.files ?? null);
    });
    this.#control.addEventListener("paste", (event) => {
      const files = event instanceof ClipboardEvent ? (event.clipboardData?.files ?? null) : null;
      if (files === null || files.length === 0) return;
      event.preventDefault();
      void this.#take(files);
    });
  }

  /** Shows the pictures that the field names, as far as they can be seen from here. */
  show() {
    if (this.#field.kind !== "files") void this.#show(this.#control.value);
  }

  /** @param {string} text what the field holds */
  async #show(text) {
    const addresses = this.#field.kind === "file" ? [text.trim()] : this.#list().map(String);
    const found = await Promise.all(addresses.map((address) => addressOf(address, this.#files, this.#files.owner())));
    if (text !== this.#control.value) return;
    const shown = found.flatMap((each) => (each === null ? [] : [pictureAt(each, "The chosen file")]));
    this.#thumb.replaceChildren(...shown);
    this.#thumb.hidden = shown.length === 0;
  }

  /** @param {FileList | null} files */
  async #take(files) {
    const chosen = [...(files ?? [])].slice(0, this.#field.kind === "file" ? 1 : maxFiles);
    if (chosen.length === 0) return;
    const upload = ++this.#uploads;
    showText(this.#problem, "");
    this.element.ariaBusy = "true";
    this.#choose.textContent = "Uploading…";
    try {
      for (const file of chosen) {
        const { input } = await this.#files.upload(file, this.#files.owner());
        if (upload === this.#uploads) this.#enter(input);
      }
    } catch (error) {
      if (upload === this.#uploads) showText(this.#problem, error instanceof Error ? error.message : String(error));
    } finally {
      if (upload === this.#uploads) {
        this.element.ariaBusy = "false";
        this.#choose.textContent = "Choose file";
      }
    }
  }

  /** @param {string} address */
  #enter(address) {
    const entry = this.#field.kind === "files" ? { path: address, scale: 1 } : address;
    this.#control.value = this.#field.kind === "file" ? address : JSON.stringify([...this.#list(), entry]);
    // The form shows other defaults, and this field its picture, as when it had been typed.
    this.#control.dispatchEvent(new Event("input", { bubbles: true }));
    this.#control.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** What the field has already; what is no list is replaced. @returns {unknown[]} */
  #list() {
    try {
      const value = JSON.parse(this.#control.value);
      return Array.isArray(value) ? value : [];
    } catch {
      return [];
    }
  }
}
