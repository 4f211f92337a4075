// @ts-check
import { ApiError } from "./api.js";
import { part, setText } from "./dom.js";

/* Why a job failed, beside the last lines that its attempt has printed. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {(jobId: string, attempt: number) => Promise<{ lines: string[] }>} ReadLog */

const shownCharacters = 100_000;

export class JobFailure {
  #readLog;
  #place = part(document, "job-failure", HTMLElement);
  #attempt = part(document, "job-log-attempt", HTMLSelectElement);
  /** What is shown: read anew only when it changes. */
  #shown = "";
  #jobId = "";

  /** @param {ReadLog} readLog */
  constructor(readLog) {
    this.#readLog = readLog;
    this.#attempt.addEventListener("change", () => void this.#showLog());
  }

  /** @param {Job} job @returns {boolean} whether there is something to show */
  show(job) {
    const isFailed = job.error !== null && job.settled_at !== null && job.assets.length === 0;
    this.#place.hidden = !isFailed;
    if (job.error === null || !isFailed) return false;
    const shown = `${job.job_id} ${job.settled_at}`;
    if (shown === this.#shown) return true;
    this.#shown = shown;
    this.#jobId = job.job_id;
    setText(part(document, "job-failure-code", HTMLElement), job.error.code);
    setText(part(document, "job-failure-text", HTMLElement), errorText(job.error));
    part(document, "job-log-pane", HTMLElement).hidden = true;
    const numbers = job.attempts.map(({ attempt }) => attempt).reverse();
    this.#attempt.replaceChildren(...numbers.map((number) => new Option(`Attempt ${number}`, String(number))));
    this.#attempt.hidden = numbers.length < 2;
    void this.#showLog();
    return true;
  }

  async #showLog() {
    const shown = this.#shown;
    const attempt = this.#attempt.value;
    if (attempt === "") return;
    const text = await this.#logOf(Number(attempt));
    if (shown !== this.#shown || attempt !== this.#attempt.value) return;
    setText(part(document, "job-log", HTMLElement), text);
    part(document, "job-log-pane", HTMLElement).hidden = false;
  }

  /** @param {number} attempt */
  async #logOf(attempt) {
    try {
      const { lines } = await this.#readLog(this.#jobId, attempt);
      return lines.length === 0 ? "It has printed nothing." : lines.join("\n").slice(-shownCharacters);
    } catch (error) {
      return error instanceof ApiError ? error.message : String(error);
    }
  }
}

/** @param {NonNullable<Job["error"]>} error */
function errorText({ message, details }) {
  const more = details === undefined || details === null ? "" : `\n\n${JSON.stringify(details, null, 2)}`;
  return `${message}${more}`.slice(0, shownCharacters);
}
