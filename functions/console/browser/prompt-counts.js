// @ts-check
import { ApiError } from "./api.js";

/* How many tokens the prompts of the form have for the chosen model, counted by the container while they are typed. */

/** @typedef {import("zod").output<typeof import("../../api/test-compel.ts").testCompel["responses"][200]>} Reading */
/** @typedef {(prompt: Record<string, unknown>) => Promise<Reading>} ReadPrompt */

const pauseMs = 400;
const fields = ["prompt", "negative_prompt"];
/** What the answer depends on. */
const read = [...fields, "compel_enabled", "compel_weights", "model_variant"];

export class PromptCounts {
  #form;
  #readPrompt;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #requested = "";
  /** Its answer, when it has come. @type {Reading | null} */
  #reading = null;

  /** @param {import("./job-form.js").JobForm} form @param {ReadPrompt} readPrompt */
  constructor(form, readPrompt) {
    this.#form = form;
    this.#readPrompt = readPrompt;
  }

  /**
   * Something in the form has changed.
   * @param {string | null} type the chosen job type; null when it does not say how it reads prompts
   */
  changed(type) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#count(type), pauseMs);
  }

  /** @param {string | null} type */
  async #count(type) {
    const { job } = this.#form.read();
    const prompt = Object.fromEntries(read.flatMap((name) => (job[name] === undefined ? [] : [[name, job[name]]])));
    const question = { compel_enabled: false, ...prompt, type };
    const requested = JSON.stringify(question);
    // The form may have been made anew meanwhile, as by another job type and this one again.
    if (requested === this.#requested) return this.#reading === null ? undefined : this.#show(this.#reading);
    this.#requested = requested;
    this.#reading = null;
    if (typeof prompt.prompt !== "string" || type === null) return this.#show(null);
    try {
      const reading = await this.#readPrompt(question);
      if (requested !== this.#requested) return;
      this.#reading = reading;
      this.#show(reading);
    } catch (error) {
      if (requested !== this.#requested) return;
      this.#show(null);
      if (error instanceof ApiError && error.code === "INVALID_JOB") this.#form.hint("prompt", error.message);
    }
  }

  /** @param {Reading | null} reading */
  #show(reading) {
    for (const field of fields) {
      const text = reading?.texts.find((one) => one.field === field);
      const hints = text === undefined ? [] : [countsOf(text)];
      if (field === "prompt" && reading?.fallback_reason !== undefined) hints.push(reading.fallback_reason);
      this.#form.hint(field, hints.join(" · "));
    }
  }
}

/** @param {Reading["texts"][number]} text */
function countsOf({ encoders, chunks, max_tokens: max, cut_tokens: cut }) {
  const tokens = Math.max(...encoders.map((encoder) => encoder.tokens));
  const counted = `${tokens} ${tokens === 1 ? "token" : "tokens"}`;
  if (cut > 0) return `${counted}: the last ${cut} are not read, ${max} are`;
  if (max !== null) return `${counted} of ${max}`;
  return chunks > 1 ? `${counted} in ${chunks} chunks` : counted;
}
