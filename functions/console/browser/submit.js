// @ts-check
import { ApiError } from "./api.js";
import { part, showText } from "./dom.js";
import { JobForm } from "./job-form.js";
import { fieldGroups } from "./schema-fields.js";

/* The panel "New job": the job types, the form of the chosen one, and handing it in. */

/** @typedef {{ type: string, description?: string | null, defaults?: Record<string, unknown>, produces: string, runs_here: boolean, schema: import("./schema-fields.js").Schema }} JobType */

export class Submit {
  #form = new JobForm(part(document, "fields", HTMLElement));
  #select = part(document, "type", HTMLSelectElement);
  #button = part(document, "submit", HTMLButtonElement);
  /** @type {JobType[]} */
  #types = [];
  #create;

  /** @param {(job: Record<string, unknown>) => Promise<void>} create */
  constructor(create) {
    this.#create = create;
    const form = part(document, "form", HTMLFormElement);
    this.#select.addEventListener("change", () => this.#showType());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
  }

  /** @param {JobType[]} types */
  offer(types) {
    this.#types = types;
    this.#select.replaceChildren(...types.map(optionOf));
    // To begin with: one that makes pictures, and of these the one that asks for least.
    this.#select.value = types.toSorted((one, other) => effort(one) - effort(other))[0]?.type ?? "";
    this.#button.disabled = types.length === 0;
    this.#showType();
  }

  /** @param {Record<string, unknown>} job */
  edit(job) {
    if (this.#types.some(({ type }) => type === job.type)) this.#select.value = String(job.type);
    this.#showType();
    this.#form.fill(job);
    this.#form.focus();
  }

  #showType() {
    const chosen = this.#types.find(({ type }) => type === this.#select.value);
    showText(part(document, "type-text", HTMLElement), chosen?.description ?? "");
    const { job } = this.#form.read();
    this.#form.show(chosen?.schema ?? {}, chosen?.defaults ?? {});
    // What two job types share stays when one changes to the other.
    this.#form.fill(job);
    this.#tell("");
  }

  async #submit() {
    const { job, problems } = this.#form.read();
    this.#tell("");
    if (this.#form.tell(problems).length + problems.length > 0) return;
    if (this.#button.disabled) return;
    this.#button.disabled = true;
    try {
      await this.#create({ ...job, type: this.#select.value });
    } catch (error) {
      this.#explain(error);
    } finally {
      this.#button.disabled = false;
    }
  }

  /** @param {unknown} error */
  #explain(error) {
    const problems = error instanceof ApiError ? error.problems : [];
    const left = this.#form.tell(problems);
    const texts = left.map(({ field, message }) => `${field} ${message}`);
    if (problems.length === 0) texts.push(error instanceof Error ? error.message : String(error));
    this.#tell(texts.join("; "));
  }

  /** @param {string} text */
  #tell(text) {
    showText(part(document, "form-problem", HTMLElement), text);
  }
}

/** @param {JobType} type */
function optionOf({ type, runs_here: runsHere }) {
  return new Option(runsHere ? type : `${type} (runs in another container)`, type);
}

/** How many fields a job of this type must have; more than any has when it makes no pictures. @param {JobType} type */
function effort({ schema, produces }) {
  const required = fieldGroups(schema).flatMap(({ fields }) => fields.filter((field) => field.required));
  return required.length + (produces === "image" ? 0 : 1000);
}
