// @ts-check
import { copyOf, onSureClick, part, reconcile, setLabel, setText } from "./dom.js";
import { ago, counted } from "./words.js";

/*
 * Failed jobs in groups: by queue, error code and type. A group is retried, as far as its jobs can succeed, or discarded,
 * part by part; who closes the page has interrupted it. Below them, elements of queues in which there is no job: they are
 * discarded one by one, or all of a queue.
 */

/** @typedef {import("./api.js").Api} Api */
/**
 * @typedef {{ source: string, queue: string, code: string, type: string, jobs: number, retryable: number, last_at: string,
 *   newest: { job_id: string, message: string } | null }} Group
 */
/** @typedef {{ code: string, message: string, jobs: number }} Left */
/** @typedef {{ id: string, source: string, queue: string, reason: string, at: string, element: string }} Element */
/** @typedef {Element & { nth: number }} Counted among those that are alike and have one id */
/** @typedef {{ queue: string, isMore: boolean, elements: Counted[] }} Undecodable */
/** @typedef {{ group: Group } | { all: Undecodable } | { element: Counted }} Shown */

const partSize = 500;
const maxElements = 20;

export class Failures {
  #api;
  #actions;
  /** @type {Group[]} */
  #groups = [];
  /** @type {Undecodable[]} */
  #undecodable = [];

  /**
   * @param {Api} api
   * @param {{ run: (work: Promise<void>) => void, report: (text: string) => void, done: () => void }} actions
   */
  constructor(api, actions) {
    this.#api = api;
    this.#actions = actions;
  }

  async refresh() {
    /** @type {[{ groups: Group[] }, { elements: Element[], more: boolean }]} */
    const [{ groups }, { elements, more }] = await Promise.all([
      this.#api.get("/failures"),
      this.#api.get(`/undecodable?limit=${maxElements}`),
    ]);
    this.#groups = groups;
    const seen = new Map();
    const named = elements.map((element) => {
      const nth = (seen.get(element.id) ?? 0) + 1;
      seen.set(element.id, nth);
      return { ...element, nth };
    });
    const queues = [...new Set(elements.map(({ queue }) => queue))];
    this.#undecodable = queues.map((queue) => ({
      queue,
      isMore: more,
      elements: named.filter((element) => element.queue === queue),
    }));
  }

  /** @param {boolean} isShown */
  render(isShown) {
    const sources = new Set(this.#groups.map(({ source }) => source));
    /** @type {Shown[]} */
    const shown = [
      ...this.#groups.map((group) => ({ group })),
      ...this.#undecodable.flatMap((all) => [{ all }, ...all.elements.map((element) => ({ element }))]),
    ];
    reconcile(part(document, "dead", HTMLElement), isShown ? shown : [], {
      key: shownKey,
      make: (each) => ("group" in each ? this.#made(keyOf(each.group)) : this.#madeElements(each)),
      update: (item, each) => {
        if ("group" in each) updateGroup(item, each.group, sources.size > 1);
        else if ("all" in each) updateQueue(item, each.all);
        else updateElement(item, each.element);
      },
    });
  }

  /** @param {{ all: Undecodable } | { element: Counted }} shown */
  #madeElements(shown) {
    const made = copyOf("dead-letters");
    part(made, "redrive", HTMLButtonElement).hidden = true;
    const discard = part(made, "discard", HTMLButtonElement);
    const isOne = "element" in shown;
    const queue = isOne ? shown.element.queue : shown.all.queue;
    const question = () => (isOne ? "Discard for good?" : `Discard all of ${queue} for good?`);
    onSureClick(discard, question, () => {
      const work = this.#discardElements(
        queue,
        new URLSearchParams(isOne ? { id: shown.element.id } : { all: "true" }),
      );
      this.#actions.run(work.finally(() => this.#actions.done()));
    });
    return made;
  }

  /** @param {string} queue @param {URLSearchParams} which */
  async #discardElements(queue, which) {
    for (let discarded = 0; ; ) {
      /** @type {{ discarded: number, more: boolean }} */
      const part = await this.#api.call(
        "POST",
        `/queues/${encodeURIComponent(queue)}/undecodable/discard?${which}`,
        {},
      );
      discarded += part.discarded;
      this.#actions.report(`${counted(discarded, "element")} discarded.`);
      if (!part.more) return;
    }
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

/** @param {Shown} shown */
function shownKey(shown) {
  if ("group" in shown) return keyOf(shown.group);
  return "all" in shown ? `all ${shown.all.queue}` : `element ${shown.element.id} ${shown.element.nth}`;
}

/** @param {HTMLElement} item @param {Undecodable} all */
function updateQueue(item, { queue, isMore, elements }) {
  setText(part(item, "queue", HTMLElement), queue);
  const holds = elements.length === 1 ? "holds" : "hold";
  const newest = isMore ? ", the newest of them" : "";
  setText(part(item, "text", HTMLElement), `${counted(elements.length, "element")} that ${holds} no job${newest}`);
  setLabel(part(item, "discard", HTMLButtonElement), "Discard all");
}

/** @param {HTMLElement} item @param {Element} element */
function updateElement(item, { queue, reason, at, element }) {
  setText(part(item, "queue", HTMLElement), queue);
  setText(part(item, "text", HTMLElement), `${reason} · ${ago(at)}`);
  setText(part(item, "example", HTMLElement), element);
  setLabel(part(item, "discard", HTMLButtonElement), "Discard");
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
