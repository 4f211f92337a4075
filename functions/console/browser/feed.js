// @ts-check
import { copyOf, onSureClick, part, reconcile, setText, showText } from "./dom.js";
import { playInTile } from "./media.js";
import { deliveryText } from "./outbox.js";
import { ago, between, counted, duration, stepText, unservedText } from "./words.js";

/* The lists of jobs: what is in progress, and what has ended. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./jobs.js").Jobs} Jobs */
/** @typedef {Job["assets"][number]} Asset */

/**
 * @typedef {object} Actions
 * @property {(jobId: string) => void} open
 * @property {(jobId: string) => void} cancel
 * @property {(jobId: string) => void} retry
 * @property {(jobId: string) => void} discard
 */

const nothingYet = {
  completed: "No finished jobs yet.",
  failed: "No failed jobs. Those that fail are kept here with the reason, until they are retried or discarded.",
  cancelled: "No cancelled jobs.",
};

export class Feed {
  #jobs;
  #actions;
  #active = part(document, "active", HTMLUListElement);
  #gallery = part(document, "completed", HTMLUListElement);
  #rows = part(document, "others", HTMLUListElement);

  /** @param {Jobs} jobs @param {Actions} actions */
  constructor(jobs, actions) {
    this.#jobs = jobs;
    this.#actions = actions;
  }

  render() {
    this.#renderActive();
    this.#renderResults();
  }

  /** @param {number} inQueues jobs that wait or run, as the queues count them */
  renderMore(inQueues) {
    const hidden = inQueues - this.#jobs.active.length;
    const text = hidden > 0 ? `and ${counted(hidden, "more job waits", "more jobs wait")}` : "";
    showText(part(document, "active-more", HTMLElement), text);
  }

  #renderActive() {
    const { active } = this.#jobs;
    reconcile(this.#active, active, {
      key: ({ job_id }) => job_id,
      make: ({ job_id }) => this.#made("active", job_id),
      update: (card, job) => updateCard(card, job, this.#jobs.live(job.job_id)),
    });
    part(document, "active-empty", HTMLElement).hidden = active.length > 0 || !this.#jobs.hasActive;
    setText(part(document, "active-count", HTMLElement), active.length === 0 ? "" : String(active.length));
  }

  #renderResults() {
    const { results, shown, hasOlder, hasResults } = this.#jobs;
    const isGallery = shown === "completed";
    this.#gallery.hidden = !isGallery;
    this.#rows.hidden = isGallery;
    const key = ({ job_id = "" }) => job_id;
    reconcile(this.#gallery, isGallery ? results : [], {
      key,
      make: (job) => fillTile(this.#made("tile", job.job_id), job),
      update: updateTile,
    });
    reconcile(this.#rows, isGallery ? [] : results, {
      key,
      make: ({ job_id }) => this.#made("row", job_id),
      update: updateRow,
    });
    const empty = hasResults && results.length === 0 ? nothingYet[shown] : "";
    showText(part(document, "results-empty", HTMLElement), empty);
    part(document, "more", HTMLButtonElement).hidden = !hasOlder;
  }

  /** A copy of the template, its buttons at work. @param {string} template @param {string} jobId */
  #made(template, jobId) {
    const made = copyOf(template);
    for (const action of /** @type {const} */ (["open", "cancel", "retry"])) {
      const button = made.querySelector(`[data-part="${action}"]`);
      button?.addEventListener("click", () => this.#actions[action](jobId));
    }
    const discard = made.querySelector('[data-part="discard"]');
    if (discard instanceof HTMLButtonElement)
      onSureClick(
        discard,
        () => "Discard for good?",
        () => this.#actions.discard(jobId),
      );
    return made;
  }
}

/**
 * @param {HTMLElement} card
 * @param {Job} job
 * @param {import("./jobs.js").Live | undefined} live
 */
function updateCard(card, job, live) {
  const runs = job.status === "running";
  card.dataset.state = job.delivery === null ? job.status : "delivering";
  setText(part(card, "prompt", HTMLElement), headline(job));
  setText(part(card, "text", HTMLElement), [job.type, ...whereItIs(job, live)].join(" · "));
  const progress = part(card, "progress", HTMLProgressElement);
  const done = live?.progress ?? job.progress;
  if (runs && done === null) progress.removeAttribute("value");
  else progress.value = runs ? (done ?? 0) : 0;
  progress.setAttribute("aria-label", `Progress of ${headline(job)}`);
  const preview = part(card, "preview", HTMLImageElement);
  if (live?.preview && preview.src !== live.preview) preview.src = live.preview;
  preview.hidden = !live?.preview;
  part(card, "open", HTMLButtonElement).ariaLabel = `Details of ${headline(job)}`;
  const cancel = part(card, "cancel", HTMLButtonElement);
  // What has been worked off has nothing left that could be stopped.
  cancel.hidden = job.delivery !== null;
  cancel.disabled = job.cancel_requested;
  setText(cancel, job.cancel_requested ? "Cancelling" : "Cancel");
}

/**
 * @param {Job} job
 * @param {import("./jobs.js").Live | undefined} live
 * @returns {string[]}
 */
function whereItIs(job, live) {
  const attempt = job.attempt > 1 ? [`attempt ${job.attempt}`] : [];
  if (job.status === "queued") {
    const waits = (Date.parse(job.available_at) - Date.now()) / 1000;
    const again = job.error === null ? [] : [`again after ${job.error.code}`];
    const reason = job.waiting_reason;
    const back = reason === null ? [] : [`given back: ${reason.message} (${reason.code})`];
    const need = job.waiting_for;
    const lacks = need === null ? [] : [lackText(need, job.worker)];
    return [waits > 1 ? `due in ${duration(waits)}` : `queued ${ago(job.created_at)}`, ...lacks, ...back, ...again];
  }
  if (job.delivery !== null) return [`delivering (${job.delivery.becomes})`, deliveryText(job.delivery), ...attempt];
  if (live?.step != null && live.total != null) return [stepText(live.step, live.total), ...attempt];
  const done = live?.progress ?? job.progress;
  return [done === null ? "starting" : `${Math.round(done * 100)} %`, ...attempt];
}

/** @param {NonNullable<Job["waiting_for"]>} need @param {string} worker */
function lackText(need, worker) {
  return need.served === false ? unservedText(worker) : `needs ${needOf(need)}; no container offers it`;
}

/** @param {NonNullable<Job["waiting_for"]>} need */
function needOf({ type, model }) {
  return model === null ? `job type ${type} and its model` : `model ${model}`;
}

/** Addresses are signed anew with each answer: the picture or clip stays as it was first made. @param {HTMLElement} tile @param {Job} job */
function fillTile(tile, job) {
  const asset = job.assets[0];
  const image = part(tile, "image", HTMLImageElement);
  const address = asset === undefined ? null : pictureOf(asset);
  if (address !== null) {
    image.src = address;
    image.alt = job.prompt ?? "";
    image.hidden = false;
    image.addEventListener("error", () => {
      image.hidden = true;
      part(tile, "sign-text", HTMLSpanElement).hidden = false;
    });
  }
  part(tile, "sign-text", HTMLSpanElement).hidden = address !== null || asset?.type === "video";
  const clip = asset?.type === "video" ? asset.url : null;
  part(tile, "sign-video", HTMLSpanElement).hidden = asset?.type !== "video";
  if (clip !== null) playInTile(tile, clip);
  showText(part(tile, "count", HTMLElement), job.assets.length > 1 ? String(job.assets.length) : "");
  setText(part(tile, "prompt", HTMLElement), headline(job));
  return tile;
}

/** @param {HTMLElement} tile @param {Job} job */
function updateTile(tile, job) {
  setText(part(tile, "text", HTMLElement), endedText(job));
}

/** A small picture of an asset. @param {Asset} asset @returns {string | null} */
export function pictureOf(asset) {
  return asset.thumbnail_url ?? (asset.type === "image" ? asset.url : null);
}

/** @param {HTMLElement} row @param {Job} job */
function updateRow(row, job) {
  setText(part(row, "prompt", HTMLElement), headline(job));
  part(row, "why", HTMLElement).hidden = job.error === null;
  setText(part(row, "code", HTMLElement), job.error?.code ?? "");
  setText(part(row, "message", HTMLElement), job.error?.message ?? "");
  const attempts = job.attempts.length > 1 ? [counted(job.attempts.length, "attempt")] : [];
  setText(part(row, "text", HTMLElement), [job.type, endedText(job), ...attempts].join(" · "));
  part(row, "retry", HTMLButtonElement).hidden = job.status !== "failed" || job.error?.permanent === true;
}

/** @param {Job} job */
function endedText({ settled_at, started_at }) {
  if (settled_at === null) return "";
  return started_at === null ? ago(settled_at) : `${ago(settled_at)} · ${between(started_at, settled_at)}`;
}

/** @param {Pick<Job, "prompt" | "type">} job */
export function headline({ prompt, type }) {
  return prompt === null || prompt.trim() === "" ? type : prompt;
}
