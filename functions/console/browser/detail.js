// @ts-check
import { seedOf } from "./again.js";
import { onSureClick, part, setText, showText } from "./dom.js";
import { factsOf, showFacts } from "./facts.js";
import { headline } from "./feed.js";
import { mediaOf, previewOf } from "./media.js";
import { deliveryText } from "./outbox.js";
import { References } from "./references.js";
import { stepText } from "./words.js";

/* One job, large: its pictures and videos, what made them, what can be done with it. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./jobs.js").Jobs} Jobs */

/**
 * @typedef {object} Choices
 * @property {(job: Job, seed: number | null, alone: boolean) => Promise<void>} again
 * @property {(job: Job) => void} edit
 * @property {(jobId: string) => Promise<void>} cancel
 * @property {(jobId: string) => Promise<void>} retry
 * @property {(jobId: string) => Promise<void>} discard
 */

const names = { queued: "Queued", running: "Running", completed: "Finished", failed: "Failed", cancelled: "Cancelled" };

export class Detail {
  #jobs;
  #choices;
  #references;
  #dialog = part(document, "job-dialog", HTMLDialogElement);
  /** @type {string | null} */
  #jobId = null;
  #index = 0;
  /** What the frame shows: it is made anew only when this changes. */
  #framed = "";

  /** @param {Jobs} jobs @param {import("./file-field.js").Files} files @param {Choices} choices */
  constructor(jobs, files, choices) {
    this.#jobs = jobs;
    this.#references = new References(part(document, "job-references", HTMLElement), files);
    this.#choices = choices;
    this.#on("job-close", () => this.#dialog.close());
    this.#on("job-back", () => this.#turn(-1));
    this.#on("job-on", () => this.#turn(1));
    this.#act("job-again", (job) => choices.again(job, seedOf(job, this.#index), job.assets.length > 1));
    this.#act("job-variation", (job) => choices.again(job, null, false));
    this.#act("job-retry", ({ job_id }) => choices.retry(job_id));
    this.#act("job-edit", async (job) => choices.edit(job));
    this.#on("job-cancel", () => void this.#try(({ job_id }) => this.#choices.cancel(job_id)));
    const discard = part(document, "job-discard", HTMLButtonElement);
    onSureClick(
      discard,
      () => "Discard for good, with its files?",
      () => void this.#try(({ job_id }) => choices.discard(job_id)).then((isGone) => isGone && this.#dialog.close()),
    );
    // A click beside the dialog is a click on its backdrop, which belongs to the dialog itself.
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.addEventListener("close", () => this.#clear());
    this.#dialog.addEventListener("keydown", ({ key, target }) => {
      if (target instanceof HTMLVideoElement) return;
      if (key === "ArrowLeft") this.#turn(-1);
      if (key === "ArrowRight") this.#turn(1);
    });
    jobs.addEventListener("change", () => this.render());
  }

  /** @param {string} jobId */
  open(jobId) {
    this.#jobId = jobId;
    this.#index = 0;
    this.#framed = "";
    showText(part(document, "job-problem", HTMLElement), "");
    this.render();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
  }

  render() {
    const job = this.#jobId === null ? undefined : this.#jobs.find(this.#jobId);
    if (job === undefined) return;
    this.#renderState(job);
    this.#renderMedia(job);
    this.#renderActions(job);
    this.#references.show(job);
    showFacts(part(document, "job-facts", HTMLElement), factsOf(job, this.#index));
  }

  /** @param {Job} job */
  #renderState(job) {
    const live = this.#jobs.live(job.job_id);
    const step = live?.step != null && live.total != null ? `, ${stepText(live.step, live.total)}` : "";
    const { delivery } = job;
    const error = delivery?.error ?? job.error;
    part(document, "job-state", HTMLElement).dataset.state = delivery === null ? job.status : "delivering";
    const text = delivery === null ? `${names[job.status]}${step}` : `Delivering · ${deliveryText(delivery)}`;
    setText(part(document, "job-state-text", HTMLElement), text);
    setText(part(document, "job-prompt", HTMLElement), headline(job));
    part(document, "job-error", HTMLElement).hidden = error === null;
    setText(part(document, "job-error-code", HTMLElement), error?.code ?? "");
    setText(part(document, "job-error-text", HTMLElement), error?.message ?? "");
  }

  /** @param {Job} job */
  #renderMedia(job) {
    const preview = this.#jobs.live(job.job_id)?.preview ?? "";
    const framed = `${job.status} ${this.#index} ${job.assets.length} ${preview}`;
    const several = job.assets.length > 1;
    part(document, "job-back", HTMLButtonElement).hidden = !several;
    part(document, "job-on", HTMLButtonElement).hidden = !several;
    showText(part(document, "job-place", HTMLElement), several ? `${this.#index + 1} of ${job.assets.length}` : "");
    if (framed === this.#framed) return;
    this.#framed = framed;
    const asset = job.assets[this.#index];
    const media = asset === undefined ? previewOf(preview, job) : mediaOf(asset, job);
    part(document, "job-media", HTMLElement).replaceChildren(media);
  }

  /** @param {Job} job */
  #renderActions(job) {
    const isActive = job.settled_at === null;
    const asset = job.assets[this.#index];
    const seed = seedOf(job, this.#index);
    part(document, "job-again", HTMLButtonElement).hidden = isActive || job.status !== "completed" || seed === null;
    part(document, "job-variation", HTMLButtonElement).hidden = isActive || seed === null;
    part(document, "job-retry", HTMLButtonElement).hidden = job.status !== "failed" || job.error?.permanent === true;
    part(document, "job-discard", HTMLButtonElement).hidden = isActive;
    const cancel = part(document, "job-cancel", HTMLButtonElement);
    cancel.hidden = !isActive || job.delivery !== null;
    cancel.disabled = job.cancel_requested;
    setText(cancel, job.cancel_requested ? "Cancelling" : "Cancel");
    const open = part(document, "job-open", HTMLAnchorElement);
    open.hidden = asset?.url == null;
    if (asset?.url != null) open.href = asset.url;
  }

  /** @param {number} by */
  #turn(by) {
    const job = this.#jobId === null ? undefined : this.#jobs.find(this.#jobId);
    if (job === undefined || job.assets.length < 2) return;
    this.#index = (this.#index + by + job.assets.length) % job.assets.length;
    this.render();
  }

  #clear() {
    this.#jobId = null;
    // A video that nobody sees does not go on playing.
    part(document, "job-media", HTMLElement).replaceChildren();
  }

  /** @param {string} name @param {() => void} listener */
  #on(name, listener) {
    part(document, name, HTMLButtonElement).addEventListener("click", listener);
  }

  /** Closes the dialog when it went well, else says what is wrong. @param {string} name @param {(job: Job) => Promise<void>} action */
  #act(name, action) {
    this.#on(name, async () => {
      if (await this.#try(action)) this.#dialog.close();
    });
  }

  /** @param {(job: Job) => Promise<void>} action @returns {Promise<boolean>} */
  async #try(action) {
    const job = this.#jobId === null ? undefined : this.#jobs.find(this.#jobId);
    if (job === undefined) return false;
    const problem = part(document, "job-problem", HTMLElement);
    try {
      await action(job);
      showText(problem, "");
      return true;
    } catch (error) {
      showText(problem, error instanceof Error ? error.message : String(error));
      return false;
    }
  }
}
