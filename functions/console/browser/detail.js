// @ts-check
import { seedOf } from "./again.js";
import { copyText, download } from "./clipboard.js";
import { element, onSureClick, part, reconcile, setText, showText } from "./dom.js";
import { factsOf, showFacts } from "./facts.js";
import { JobFailure } from "./job-failure.js";
import { fileNameOf, headline, shortId } from "./job-text.js";
import { mediaOf, previewOf } from "./media.js";
import { deliveryText } from "./outbox.js";
import { References } from "./references.js";
import { pictureOf } from "./results-feed.js";
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
 * @property {(text: string) => void} report
 * @property {(jobId: string) => string} linkTo
 * @property {import("./job-failure.js").ReadLog} readLog
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
  #failure;
  /** Whether a long prompt is shown to its end. */
  #isWhole = false;
  /** What the frame shows: it is made anew only when this changes. */
  #framed = "";

  /** @param {Jobs} jobs @param {import("./file-field.js").Files} files @param {Choices} choices */
  constructor(jobs, files, choices) {
    this.#jobs = jobs;
    this.#references = new References(part(document, "job-references", HTMLElement), files);
    this.#choices = choices;
    this.#failure = new JobFailure(choices.readLog);
    this.#copies();
    this.#on("job-prompt-all", () => this.#showAll(!this.#isWhole));
    this.#on("job-download", () => void this.#try((job) => this.#download(job)));
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

  /** @param {() => void} listener called when the reader closes it */
  onClose(listener) {
    this.#dialog.addEventListener("close", listener);
  }

  close() {
    this.#dialog.close();
  }

  /** @param {string} jobId of one that the page knows */
  open(jobId) {
    this.#jobId = jobId;
    this.#index = 0;
    this.#framed = "";
    showText(part(document, "job-problem", HTMLElement), "");
    this.render();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
    this.#showAll(false);
  }

  #copies() {
    this.#on("job-copy-id", () => void this.#copy(({ job_id }) => job_id, "The id"));
    this.#on("job-copy-link", () => void this.#copy(({ job_id }) => this.#choices.linkTo(job_id), "The link"));
    this.#on("job-copy-prompt", () => void this.#copy(({ prompt }) => prompt ?? "", "The prompt"));
  }

  /** @param {(job: Job) => string} textOf @param {string} what */
  async #copy(textOf, what) {
    if (await this.#try((job) => copyText(textOf(job)))) this.#choices.report(`${what} is copied.`);
  }

  /** @param {Job} job */
  async #download(job) {
    const address = job.assets[this.#index]?.url;
    if (address) await download(address, fileNameOf(job, this.#index));
  }

  /** @param {boolean} isWhole */
  #showAll(isWhole) {
    this.#isWhole = isWhole;
    const prompt = part(document, "job-prompt", HTMLElement);
    prompt.classList.toggle("whole", isWhole);
    const all = part(document, "job-prompt-all", HTMLButtonElement);
    all.hidden = !isWhole && prompt.scrollHeight <= prompt.clientHeight + 1;
    all.ariaExpanded = String(isWhole);
    setText(all, isWhole ? "Show less" : "Show all");
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
    part(document, "job-copy-prompt", HTMLButtonElement).hidden = job.prompt === null || job.prompt === "";
    const copy = part(document, "job-copy-id", HTMLButtonElement);
    setText(copy, shortId(job.job_id));
    copy.ariaLabel = `Copy the id ${job.job_id}`;
    copy.title = "Copy the id";
    // That of a job which has failed has the place of its pictures.
    part(document, "job-error", HTMLElement).hidden = error === null || this.#failure.show(job);
    setText(part(document, "job-error-code", HTMLElement), error?.code ?? "");
    setText(part(document, "job-error-text", HTMLElement), error?.message ?? "");
  }

  /** @param {Job} job */
  #renderMedia(job) {
    const preview = this.#jobs.live(job.job_id)?.preview ?? "";
    const framed = `${job.job_id} ${job.status} ${this.#index} ${job.assets.length} ${preview}`;
    const several = job.assets.length > 1;
    part(document, "job-back", HTMLButtonElement).hidden = !several;
    part(document, "job-on", HTMLButtonElement).hidden = !several;
    showText(part(document, "job-place", HTMLElement), several ? `${this.#index + 1} of ${job.assets.length}` : "");
    this.#renderStrip(job);
    const isFailed = this.#failure.show(job);
    part(document, "job-media", HTMLElement).hidden = isFailed;
    const stage = part(document, "job-stage", HTMLElement);
    stage.dataset.shows = isFailed ? "failure" : job.assets.length > 0 || preview !== "" ? "media" : "nothing";
    if (framed === this.#framed) return;
    this.#framed = framed;
    const asset = job.assets[this.#index];
    const media = asset === undefined ? previewOf(preview, job) : mediaOf(asset, job);
    part(document, "job-media", HTMLElement).replaceChildren(media);
  }

  /** All pictures, small, to choose from. @param {Job} job */
  #renderStrip(job) {
    const strip = part(document, "job-strip", HTMLElement);
    strip.hidden = job.assets.length < 2;
    reconcile(strip, strip.hidden ? [] : [...job.assets.entries()], {
      key: ([index]) => `${job.job_id} ${index}`,
      make: ([index, asset]) => {
        const button = element("button", "strip-one");
        button.type = "button";
        button.ariaLabel = `Picture ${index + 1}`;
        const address = pictureOf(asset);
        const picture = element("img");
        picture.alt = "";
        if (address === null) button.textContent = String(index + 1);
        else {
          picture.src = address;
          button.append(picture);
        }
        button.addEventListener("click", () => this.#turn(index - this.#index));
        return button;
      },
      update: (button, [index]) => button.setAttribute("aria-current", String(index === this.#index)),
    });
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
    part(document, "job-download", HTMLButtonElement).hidden = open.hidden;
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
