// @ts-check
import { copyOf, onSureClick, part, setText, showText } from "./dom.js";
import { headline, shortId } from "./job-text.js";
import { LongList } from "./long-list.js";
import { playInTile, posterInTile } from "./media.js";
import { ago, between, counted } from "./words.js";

/* What has ended: finished jobs as pictures, the others as rows. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./jobs.js").Jobs} Jobs */
/** @typedef {Job["assets"][number]} Asset */

/**
 * @typedef {object} Actions
 * @property {(jobId: string) => void} open
 * @property {(jobId: string) => void} retry
 * @property {(jobId: string) => void} discard
 */

const nothingYet = {
  completed: "No finished jobs yet.",
  failed: "No failed jobs. Those that fail are kept here with the reason, until they are retried or discarded.",
  cancelled: "No cancelled jobs.",
};

/** @type {readonly Job[]} */
const none = [];

export class ResultsFeed {
  #jobs;
  #actions;
  #gallery = part(document, "completed", HTMLElement);
  #rows = part(document, "others", HTMLElement);
  #tiles;
  #others;

  /** @param {Jobs} jobs @param {Actions} actions */
  constructor(jobs, actions) {
    this.#jobs = jobs;
    this.#actions = actions;
    const key = (/** @type {Job} */ { job_id }) => job_id;
    this.#tiles = new LongList(this.#gallery, "gallery", {
      key,
      make: (/** @type {Job} */ job) => fillTile(this.#made("tile", job.job_id), job),
      update: updateTile,
    });
    this.#others = new LongList(this.#rows, "rows", {
      key,
      make: ({ job_id }) => this.#made("row", job_id),
      update: updateRow,
    });
  }

  /** @returns {boolean} whether the next frame has to go on with it */
  render() {
    const { jobs, shown, isLoaded } = this.#jobs.results;
    const isGallery = shown === "completed";
    this.#renderEnd();
    this.#gallery.hidden = !isGallery;
    this.#rows.hidden = isGallery;
    const hasMoreTiles = this.#tiles.show(isGallery ? jobs : none);
    const hasMoreRows = this.#others.show(isGallery ? none : jobs);
    document.body.dataset.results = isLoaded ? shown : "";
    return hasMoreTiles || hasMoreRows;
  }

  #renderEnd() {
    const { jobs, shown, isLoaded, isNarrowed, hasOlder, filter, looked } = this.#jobs.results;
    const noneText = isNarrowed ? "No such job." : nothingYet[shown];
    showText(part(document, "results-empty", HTMLElement), isLoaded && jobs.length === 0 ? noneText : "");
    const searched = `${counted(jobs.length, "job")} of the newest ${looked.toLocaleString("en-US")}`;
    showText(part(document, "results-found", HTMLElement), filter.text !== "" && isLoaded ? searched : "");
    const more = part(document, "more", HTMLButtonElement);
    more.hidden = !hasOlder;
    setText(more, filter.text === "" ? "Show older ones" : "Search older ones");
  }

  /** A copy of the template, its buttons at work. @param {string} template @param {string} jobId */
  #made(template, jobId) {
    const made = copyOf(template);
    for (const action of /** @type {const} */ (["open", "retry"])) {
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

/** Addresses are signed anew with each answer: the picture or clip stays as it was first made. @param {HTMLElement} tile @param {Job} job */
function fillTile(tile, job) {
  const asset = job.assets[0];
  const image = part(tile, "image", HTMLImageElement);
  const address = asset === undefined ? null : pictureOf(asset);
  if (address !== null) {
    image.src = address;
    image.alt = "";
    image.hidden = false;
    image.addEventListener("error", () => {
      image.hidden = true;
      part(tile, "sign-text", HTMLSpanElement).hidden = false;
    });
  }
  part(tile, "sign-text", HTMLSpanElement).hidden = address !== null || asset?.type === "video";
  const clip = asset?.type === "video" ? asset.url : null;
  part(tile, "sign-video", HTMLSpanElement).hidden = asset?.type !== "video";
  if (clip !== null && address === null) posterInTile(tile, clip);
  if (clip !== null) playInTile(tile, clip);
  showText(part(tile, "count", HTMLElement), job.assets.length > 1 ? String(job.assets.length) : "");
  setText(part(tile, "prompt", HTMLElement), headline(job));
  return tile;
}

/** @param {HTMLElement} tile @param {Job} job */
function updateTile(tile, job) {
  setText(part(tile, "text", HTMLElement), `${endedText(job)} · ${shortId(job.job_id)}`);
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
  const texts = [job.type, shortId(job.job_id), endedText(job), ...attempts];
  setText(part(row, "text", HTMLElement), texts.join(" · "));
  part(row, "retry", HTMLButtonElement).hidden = job.status !== "failed" || job.error?.permanent === true;
}

/** @param {Job} job */
function endedText({ settled_at, started_at }) {
  if (settled_at === null) return "";
  return started_at === null ? ago(settled_at) : `${ago(settled_at)} · ${between(started_at, settled_at)}`;
}
