// @ts-check
import { ApiError } from "./api.js";
import { part, showText } from "./dom.js";
import { Enhance } from "./enhance.js";
import { isObject, JobForm } from "./job-form.js";
import { PromptCounts } from "./prompt-counts.js";
import { fieldGroups } from "./schema-fields.js";

/* The panel "New job": the job types, the form of the chosen one, and handing it in. */

/** @typedef {import("../../api/worker-info.ts").JobTypeView} JobType */
/** @typedef {import("./schema-fields.js").Model} Model */
/** @typedef {Record<string, import("./machine.js").Offer>} Offers */

export class Submit {
  #form;
  #select = part(document, "type", HTMLSelectElement);
  #button = part(document, "submit", HTMLButtonElement);
  /** @type {JobType[]} */
  #types = [];
  /** @type {Model[]} */
  #models = [];
  /** @type {import("./enhance.js").Preset[]} */
  #presets = [];
  /** @type {Offers | null} */
  #offers = null;
  /** @type {Record<string, unknown> | null} what was to be edited before there were types */
  #waiting = null;
  #create;

  #counts;
  #enhance;

  /**
   * @param {(job: Record<string, unknown>) => Promise<void>} create
   * @param {{ readPrompt: import("./prompt-counts.js").ReadPrompt, enhance: import("./enhance.js").How["ask"] }} calls
   * @param {import("./file-field.js").Files} files
   */
  constructor(create, { readPrompt, enhance }, files) {
    this.#create = create;
    this.#enhance = new Enhance({ idea: () => this.#idea(), use: (prompt) => this.#usePrompt(prompt), ask: enhance });
    this.#form = new JobForm(part(document, "fields", HTMLElement), files);
    this.#counts = new PromptCounts(this.#form, readPrompt);
    const form = part(document, "form", HTMLFormElement);
    form.addEventListener("input", () => {
      this.#showCounts();
      this.#warnOfSize();
      this.#warnOfOffers();
    });
    this.#select.addEventListener("change", () => this.#showType());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
  }

  /** @param {{ job_types: JobType[], models: Model[], presets: import("./enhance.js").Preset[] }} info */
  offer({ job_types: types, models, presets }) {
    this.#types = types;
    this.#models = models;
    this.#presets = presets;
    this.#select.replaceChildren(...types.map(optionOf));
    // To begin with: one that makes pictures, and of these the one that asks for least.
    this.#select.value = types.toSorted((one, other) => effort(one, models) - effort(other, models))[0]?.type ?? "";
    this.#button.disabled = types.length === 0;
    this.#showType();
    if (this.#waiting === null) return;
    this.edit(this.#waiting);
    this.#waiting = null;
  }

  /** What the container runs changes while the page is open. @param {Offers | null} offers */
  showOffers(offers) {
    this.#offers = offers;
    this.#warnOfOffers();
  }

  /** @param {Record<string, unknown>} job */
  edit(job) {
    if (this.#types.length === 0) this.#waiting = job;
    if (this.#types.some(({ type }) => type === job.type)) this.#select.value = String(job.type);
    this.#showType();
    this.#form.fill(job);
    this.#form.focus();
    this.#showCounts();
    this.#warnOfSize();
    this.#warnOfOffers();
  }

  #showType() {
    const chosen = this.#types.find(({ type }) => type === this.#select.value);
    showText(part(document, "type-text", HTMLElement), chosen?.description ?? "");
    const { job } = this.#form.read();
    const groups = chosen === undefined ? [] : fieldGroups(chosen, this.#models);
    this.#form.show(groups, (given) => (chosen === undefined ? {} : defaultsOf(chosen, this.#models, given)));
    // What two job types share stays when one changes to the other.
    this.#form.fill(job);
    if (chosen !== undefined && (chosen.produces === "image" || chosen.produces === "video")) {
      this.#enhance.offer(targetOf(chosen), this.#presets);
      this.#form.attach("prompt", this.#enhance.element);
    }
    this.#form.example("prompt", exampleOf(chosen));
    this.#report("");
    this.#showCounts();
    this.#warnOfSize();
    this.#warnOfOffers();
  }

  /** A model draws noise far from the size that it was made for. */
  #warnOfSize() {
    const chosen = this.#types.find(({ type }) => type === this.#select.value);
    if (chosen === undefined) return;
    this.#form.hint(
      "config.width",
      sizeWarning(this.#form.read().job, (job) => defaultsOf(chosen, this.#models, job)),
    );
  }

  /** A job that nothing runs would wait, and nobody would know why. */
  #warnOfOffers() {
    const chosen = this.#types.find(({ type }) => type === this.#select.value);
    const lack = chosen === undefined ? "" : lackOf(chosen, this.#form.read().job, this.#offers);
    showText(part(document, "type-note", HTMLElement), lack);
  }

  /** @returns {import("./enhance.js").Idea} */
  #idea() {
    const { prompt, user_id: userId } = this.#form.read().job;
    return { prompt: String(prompt ?? ""), user_id: typeof userId === "string" ? userId : undefined };
  }

  /** @param {string} prompt which has been enhanced: a type that does so by itself leaves it as it is */
  #usePrompt(prompt) {
    const chosen = this.#types.find(({ type }) => type === this.#select.value);
    this.#form.enter("prompt", prompt);
    if (chosen?.defaults.enhance_prompt === true) this.#form.enter("config.enhance_prompt", false);
  }

  #showCounts() {
    const chosen = this.#types.find(({ type }) => type === this.#select.value);
    this.#counts.changed(chosen?.reads_prompts ? chosen.type : null);
  }

  async #submit() {
    const { job, problems } = this.#form.read();
    this.#report("");
    if (this.#form.report(problems).length + problems.length > 0) return;
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
    const left = this.#form.report(problems);
    const texts = left.map(({ field, message }) => `${field} ${message}`);
    if (problems.length === 0) texts.push(error instanceof Error ? error.message : String(error));
    this.#report(texts.join("; "));
  }

  /** @param {string} text */
  #report(text) {
    showText(part(document, "form-problem", HTMLElement), text);
  }
}

/** What the models that ship can draw, or answer. @param {JobType | undefined} type */
function exampleOf(type) {
  if (type?.produces === "video") return "A rocket flies up, night sky";
  if (type?.produces === "text") return type.type === "chat" ? "What can you draw?" : "An apple";
  return "A red apple on a light blue background";
}

/** How many times as many pixels, or as long a side, as its own a model draws well. */
const farPixels = 2.5;

/**
 * @param {Record<string, unknown>} job
 * @param {(job: Record<string, unknown>) => Record<string, unknown>} defaultsFor
 */
function sizeWarning(job, defaultsFor) {
  const { config } = job;
  const { width: ownWidth, height: ownHeight } = defaultsFor(job);
  if (!isObject(config) || typeof ownWidth !== "number" || typeof ownHeight !== "number") return "";
  const [width, height] = [config.width ?? ownWidth, config.height ?? ownHeight];
  if (typeof width !== "number" || typeof height !== "number") return "";
  const times = (width * height) / (ownWidth * ownHeight);
  if (times <= farPixels && times >= 1 / farPixels) return "";
  return `Far from this model’s own size, ${ownWidth} × ${ownHeight}: expect noise or repeated parts.`;
}

/** Whose words a prompt of this type is put in. @param {JobType} type */
function targetOf({ worker, produces }) {
  return worker === "wan" || produces === "video" ? "wan" : "sdxl";
}

/** @param {JobType} type */
function optionOf({ type, runs_here: runsHere }) {
  return new Option(runsHere ? type : `${type} (runs in another container)`, type);
}

/**
 * Why the container would not run such a job now; "" where it would, or where that is not known.
 * @param {JobType} type
 * @param {Record<string, unknown>} job
 * @param {Offers | null} offers
 */
function lackOf({ type, worker, model, runs_here: isHere }, { model_variant: named }, offers) {
  const offer = offers?.[worker];
  if (offer === undefined || !isHere) return "";
  const isNamed = typeof named === "string";
  const hasModel = isNamed ? offer.models.includes(named) : offer.default_model_types.includes(type);
  const isWorking = offer.types.includes(type);
  if (isWorking && hasModel) return "";
  const lack = isWorking ? `has no model ${isNamed ? named : model} that works` : `does not run ${type}`;
  return `This container ${lack} at present: the job would wait for one that does.`;
}

/**
 * What applies to a job that gives this much: with its model's own values, and those for its scheduler.
 * @param {JobType} type
 * @param {Model[]} models
 * @param {Record<string, unknown>} job
 */
function defaultsOf(type, models, job) {
  const { model_variant: variant, config } = job;
  const isNamed = (/** @type {string} */ field) => {
    const [part = "", name = ""] = field.split(".");
    const values = job[part];
    return isObject(values) && values[name] !== undefined;
  };
  // A job that begins with a picture has other defaults.
  const { defaults, model_defaults: ofModels } = type.input_defaults.find(({ field }) => isNamed(field)) ?? type;
  const { model } = type;
  const wanted = variant ?? model;
  const folder = models.find(({ name, aliases }) => name === wanted || aliases.some((alias) => alias === wanted))?.name;
  const found = ofModels.find((each) => each.model === folder);
  const scheduler = isObject(config) ? config.scheduler : undefined;
  return found?.by_scheduler[String(scheduler)] ?? found?.defaults ?? defaults;
}

/**
 * How many fields a job of this type must have; more than any has when it makes no pictures.
 * @param {JobType} type
 * @param {Model[]} models
 */
function effort(type, models) {
  const required = fieldGroups(type, models).flatMap(({ fields }) => fields.filter((field) => field.required));
  return required.length + (type.produces === "image" ? 0 : 1000);
}
