// @ts-check
import { copyOf, onSureClick, part, reconcile, setLabel, setText } from "./dom.js";
import { ago, counted } from "./words.js";

/*
 * Failed jobs in groups: by queue, error code and type. A group is retried, as far as its jobs can succeed, or discarded,
 * part by part; who closes the page has interrupted it.
 */

/** @typedef {import("./api.js").Api} Api */
/**
 * @typedef {{ source: string, queue: string, code: string, type: string, jobs: number, retryable: number, last_at: string,
 *   newest: { job_id: string, message: string } | null }} Group
 */
/** @typedef {{ code: string, message: string, jobs: number }} Left */

const partSize = 500;

export class Failures {
  #api;
  #actions;
  /** @type {Group[]} */
  #groups = [];

  /**
   * @param {Api} api
   * @param {{ run: (work: Promise<void>) => void, report: (text: string) => void, done: () => void }} actions
   */
  constructor(api, actions) {
    this.#api = api;
    this.#actions = actions;
  }

  async refresh() {
    /** @type {{ groups: Group[] }} */
    const { groups } = await this.#api.get("/failures");
    this.#groups = groups;
  }

  /** @param {boolean} isShown */
  render(isShown) {
    const sources = new Set(this.#groups.map(({ source }) => source));
    reconcile(part(document, "dead", HTMLElement), isShown ? this.#groups : [], {
      key: keyOf,
      make: (group) => this.#made(keyOf(group)),
      update: (item, group) => updateGroup(item, group, sources.size > 1),
    });
  }

  /** @param {string} key */
  #made(key) {
    const made = copyOf("dead-letters");
    const group = () => this.#groups.find((each) => keyOf(each) === key);
    const redrive = part(made, "redrive", HTMLButtonElement);
    redrive.addEventListener("click", () => this.#begin(group(), (one) => this.#retry(one)));
    const discard = part(made, "discard", HTMLButtonElement);
    const question = () => `Discard ${counted(group()?.jobs ?? 0, "job")} for good?`;
    onSureClick(discard, question, () => this.#begin(group(), (one) => this.#discard(one)));
    return made;
  }

  /** @param {Group | undefined} group @param {(group: Group) => Promise<void>} work */
  #begin(group, work) {
    if (group !== undefined) this.#actions.run(work(group).finally(() => this.#actions.done()));
  }

  /** @param {Group} group */
  async #discard({ source, queue, code, type, jobs }) {
    let discarded = 0;
    /** @type {Left[]} */
    const all = [];
    for (let cursor = /** @type {string | null} */ (null); ; ) {
      const filter = { status: "failed", source, queue, code, type, limit: partSize };
      /** @type {{ discarded: number, left: Left[], cursor: string | null }} */
      const part = await this.#api.call("POST", "/jobs/discard", cursor === null ? filter : { ...filter, cursor });
      discarded += part.discarded;
      all.push(...part.left);
      cursor = part.cursor;
      this.#actions.report(
        cursor === null ? result(discarded, "discarded", all) : `${discarded} of ${jobs} discarded.`,
      );
      if (cursor === null) return;
    }
  }

  /** @param {Group} group */
  async #retry({ source, queue, code, type, jobs }) {
    let redriven = 0;
    /** @type {Left[]} */
    const all = [];
    for (let cursor = /** @type {string | null} */ (null); ; ) {
      const query = new URLSearchParams({
        source,
        code,
        type,
        limit: String(partSize),
        ...(cursor === null ? {} : { cursor }),
      });
      /** @type {{ redriven: number, left: Left[], cursor: string | null }} */
      const part = await this.#api.call("POST", `/queues/${encodeURIComponent(queue)}/redrive?${query}`, {});
      redriven += part.redriven;
      all.push(...part.left);
      cursor = part.cursor;
      this.#actions.report(
        cursor === null ? result(redriven, "back on the queue", all) : `${redriven} of ${jobs} back.`,
      );
      if (cursor === null) return;
    }
  }
}

/** @param {Group} group */
function keyOf({ source, queue, code, type }) {
  return JSON.stringify([source, queue, code, type]);
}

/** @param {HTMLElement} item @param {Group} group @param {boolean} isMixed whether groups are of several sources */
function updateGroup(item, { source, queue, code, type, jobs, retryable, last_at, newest }, isMixed) {
  setText(part(item, "queue", HTMLElement), isMixed ? `${queue} (${source})` : queue);
  setText(part(item, "code", HTMLElement), code);
  setText(part(item, "text", HTMLElement), `${type} · ${counted(jobs, "failed job")} · last ${ago(last_at)}`);
  setText(part(item, "example", HTMLElement), newest?.message ?? "");
  const redrive = part(item, "redrive", HTMLButtonElement);
  redrive.hidden = retryable === 0;
  redrive.title = retryable < jobs ? `${jobs - retryable} would fail again as they are and are left` : "";
  setText(part(item, "redrive-text", HTMLElement), retryable === jobs ? "Retry all" : `Retry ${retryable}`);
  setLabel(part(item, "discard", HTMLButtonElement), "Discard all");
}

/** @param {number} done @param {string} what @param {Left[]} left */
function result(done, what, left) {
  /** @type {Map<string, number>} */
  const reasons = new Map();
  for (const { message, jobs } of left) reasons.set(message, jobs + (reasons.get(message) ?? 0));
  const rest = [...reasons].map(([message, jobs]) => ` ${counted(jobs, "job")} left: ${message}`);
  return `${counted(done, "job")} ${what}.${rest.join("")}`;
}
