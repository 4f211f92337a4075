// @ts-check
import { copyOf, part, reconcile, setText } from "./dom.js";
import { headline, shortId, whereItIs } from "./job-text.js";
import { counted } from "./words.js";

/* What is in progress: jobs that run as cards, those that wait as lines, in the order in which they will run. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./jobs.js").Jobs} Jobs */
/** @typedef {{ open: (jobId: string) => void, cancel: (jobId: string) => void }} Actions */

/** Shown at once; the others when they are wished for. */
const firstWaiting = 5;

export class ActiveFeed {
  #jobs;
  #actions;
  #running = part(document, "active", HTMLUListElement);
  #waiting = part(document, "waiting", HTMLOListElement);
  #more = part(document, "waiting-more", HTMLButtonElement);
  #isOpen = false;

  /** @param {Jobs} jobs @param {Actions} actions */
  constructor(jobs, actions) {
    this.#jobs = jobs;
    this.#actions = actions;
    this.#more.addEventListener("click", () => {
      this.#isOpen = !this.#isOpen;
      this.render(0);
    });
  }

  /** @param {number} inQueues jobs that wait, as the queues count them: more than are listed */
  render(inQueues) {
    const { running, waiting } = this.#jobs;
    reconcile(this.#running, running, {
      key: ({ job_id }) => job_id,
      make: ({ job_id }) => this.#made("active", job_id),
      update: (card, job) => updateCard(card, job, this.#jobs.live(job.job_id)),
    });
    const shown = this.#isOpen ? waiting : waiting.slice(0, firstWaiting);
    reconcile(this.#waiting, shown, {
      key: ({ job_id }) => job_id,
      make: ({ job_id }) => this.#made("waiting", job_id),
      update: updateLine,
    });
    this.#waiting.hidden = shown.length === 0;
    const all = Math.max(inQueues, waiting.length);
    this.#renderMore(all, shown.length, waiting.length);
    part(document, "active-empty", HTMLElement).hidden = running.length + waiting.length > 0 || !this.#jobs.hasActive;
    const counts = [
      ...(running.length > 0 ? [`${running.length} running`] : []),
      ...(all > 0 ? [`${all.toLocaleString("en-US")} waiting`] : []),
    ];
    setText(part(document, "active-count", HTMLElement), counts.join(" · "));
  }

  /** Brings a job into sight, or the list where it is not shown. @param {string} jobId */
  reveal(jobId) {
    const children = [...this.#running.children, ...this.#waiting.children];
    const found = children.find((child) => child.getAttribute("data-key") === jobId);
    (found ?? part(document, "active-title", HTMLElement)).scrollIntoView({ block: "center" });
  }

  /** @param {number} all @param {number} shown @param {number} listed */
  #renderMore(all, shown, listed) {
    this.#more.hidden = all <= firstWaiting;
    this.#more.ariaExpanded = String(this.#isOpen);
    const beyond = all - listed;
    const last = beyond > 0 ? ` · ${counted(beyond, "more job waits", "more jobs wait")} after these` : "";
    setText(this.#more, this.#isOpen ? `Show less${last}` : `${(all - shown).toLocaleString("en-US")} more`);
  }

  /** A copy of the template, its buttons at work. @param {"active" | "waiting"} template @param {string} jobId */
  #made(template, jobId) {
    const made = copyOf(template);
    for (const action of /** @type {const} */ (["open", "cancel"]))
      part(made, action, HTMLButtonElement).addEventListener("click", () => this.#actions[action](jobId));
    return made;
  }
}

/** @param {HTMLElement} card @param {Job} job @param {import("./jobs.js").Live | undefined} live */
function updateCard(card, job, live) {
  card.dataset.state = job.delivery === null ? job.status : "delivering";
  setText(part(card, "prompt", HTMLElement), headline(job));
  setText(part(card, "text", HTMLElement), [job.type, shortId(job.job_id), ...whereItIs(job, live)].join(" · "));
  const progress = part(card, "progress", HTMLProgressElement);
  const done = live?.progress ?? job.progress;
  if (done === null) progress.removeAttribute("value");
  else progress.value = done;
  progress.setAttribute("aria-label", `Progress of ${shortId(job.job_id)}`);
  const preview = part(card, "preview", HTMLImageElement);
  if (live?.preview && preview.src !== live.preview) preview.src = live.preview;
  preview.hidden = !live?.preview;
  part(card, "open", HTMLButtonElement).ariaLabel = `Details of ${shortId(job.job_id)}`;
  updateCancel(card, job);
}

/** @param {HTMLElement} line @param {Job} job */
function updateLine(line, job) {
  setText(part(line, "prompt", HTMLElement), headline(job));
  setText(part(line, "text", HTMLElement), [job.type, shortId(job.job_id), ...whereItIs(job, undefined)].join(" · "));
  updateCancel(line, job);
}

/** @param {HTMLElement} place @param {Job} job */
function updateCancel(place, job) {
  const cancel = part(place, "cancel", HTMLButtonElement);
  // What has been worked off has nothing left that could be stopped.
  cancel.hidden = job.delivery !== null;
  cancel.disabled = job.cancel_requested;
  setText(cancel, job.cancel_requested ? "Cancelling" : "Cancel");
}
