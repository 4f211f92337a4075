// @ts-check
import { ApiError, pause } from "./api.js";
import { Results } from "./results.js";

/*
 * The jobs that the page shows. Lists are requested now and then; what runs is followed live, a few jobs at a time,
 * because a browser opens six connections to one host and pictures need some of them.
 *
 *   active    running, and the first of those that wait, from the lists and from the live events
 *   results   settled jobs of the status that is shown
 *   opened    the one that somebody looks at, wherever it is
 *
 * A list that was requested before a job's end was heard may show that it still runs: then the end is believed. One that was
 * requested later is newer: the job was retried, here or elsewhere.
 */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("./results.js").Settled} Settled */
/** @typedef {import("./results.js").Page} Page */
/** @typedef {{ queue: string, source: string }} Queue */
/** @typedef {{ step: number | null, total: number | null, progress: number | null, preview: string | null }} Live */

const followedAtOnce = 3;
const listed = 50;
const remembered = 200;

export class Jobs extends EventTarget {
  #api;
  /** @type {Map<string, Job>} */
  #active = new Map();
  /** @type {Map<string, Live>} */
  #live = new Map();
  /** @type {Map<string, { job: Job, receivedAtMs: number }>} */
  #ended = new Map();
  /** @type {Map<string, AbortController>} */
  #followed = new Map();
  /** Read by itself, because no list has it. @type {Job | null} */
  #opened = null;
  #rounds = 0;
  /** @type {string | null} */
  #activeBefore = null;
  results = new Results((query) => this.#list(query));
  /** Whether anything is known of what runs and waits. */
  hasActive = false;

  #queues;

  /** @param {Api} api @param {() => readonly Queue[]} queues in which jobs are due */
  constructor(api, queues) {
    super();
    this.#api = api;
    this.#queues = queues;
  }

  /** The oldest first. */
  get running() {
    const running = [...this.#active.values()].filter(({ status }) => status === "running");
    return running.sort((one, other) => (one.created_at < other.created_at ? -1 : 1));
  }

  /** In the order in which they will run. */
  get waiting() {
    return [...this.#active.values()].filter(({ status }) => status === "queued").sort(inRunOrder);
  }

  /** @param {string} jobId @returns {Job | undefined} */
  find(jobId) {
    const known = this.#active.get(jobId) ?? this.results.jobs.find(({ job_id }) => job_id === jobId);
    if (known !== undefined) return known;
    return this.#opened?.job_id === jobId ? this.#opened : this.#ended.get(jobId)?.job;
  }

  /** Reads one that somebody wants to look at, when no list has it. @param {string} jobId @throws {ApiError} when there is none */
  async open(jobId) {
    if (this.find(jobId) === undefined) this.#opened = await this.#read(jobId);
  }

  /** @param {string} jobId @returns {Live | undefined} */
  live(jobId) {
    return this.#live.get(jobId);
  }

  /** Reads the lists anew. */
  async refresh() {
    const requestedAtMs = performance.now();
    const [running, queued, next] = await Promise.all([
      this.#list(new URLSearchParams({ status: "running", limit: String(listed) })),
      this.#list(new URLSearchParams({ status: "queued", limit: String(listed) })),
      this.#readNext(),
      this.#reopen(),
    ]);
    // Of a job that is in several lists, the later mention counts: it says its place, or that it runs.
    const all = [...queued.jobs, ...next, ...running.jobs];
    const now = new Map(all.map((job) => [job.job_id, this.#withNote(job)]));
    for (const [id, { receivedAtMs }] of this.#ended) {
      if (receivedAtMs > requestedAtMs) now.delete(id);
      else if (now.has(id)) this.#ended.delete(id);
    }
    // One that has just been created, or has ended elsewhere, is in neither list: its live events show it.
    for (const [id, job] of this.#active) if (this.#followed.has(id) && !now.has(id)) now.set(id, job);
    this.#active = now;
    this.hasActive = true;
    // Results change when jobs end, which the other lists show; and others may retry one.
    const active = [...now.keys()].sort().join();
    if (active !== this.#activeBefore || this.#rounds++ % 2 === 0) await this.#refreshResults();
    this.#activeBefore = active;
    this.#changed();
  }

  /** @param {{ shown?: Settled, filter?: import("./results.js").Filter }} choice */
  async show(choice) {
    this.results.begin(choice);
    this.#changed();
    await this.#refreshResults();
    this.#changed();
  }

  async showOlder() {
    await this.results.older();
    this.#changed();
  }

  /**
   * @param {Record<string, unknown>} job
   * @returns {Promise<{ job_id: string, queue_position: number, ignored: string[] }>}
   */
  async create(job) {
    /** @type {{ job_id: string, queue_position: number, ignored: string[] }} */
    const created = await this.#api.call("POST", "/jobs", job);
    await this.#track(created.job_id);
    return created;
  }

  /** @param {string} jobId */
  async cancel(jobId) {
    await this.#api.call("DELETE", pathOf(jobId));
    const job = await this.#read(jobId);
    if (job.settled_at === null) this.#active.set(jobId, { ...job, cancel_requested: true });
    else this.#settle(job);
    this.#changed();
  }

  /** @param {string} jobId */
  async retry(jobId) {
    await this.#api.call("POST", `${pathOf(jobId)}/retry`);
    this.results.remove(jobId);
    await this.#track(jobId);
  }

  /** Forgets a job that has ended, with its files. @param {string} jobId */
  async discard(jobId) {
    await this.#api.call("POST", `${pathOf(jobId)}/discard?files=true`, {});
    this.#ended.delete(jobId);
    this.results.remove(jobId);
    this.#changed();
  }

  /** Reads the results anew after many of them were changed. */
  async reload() {
    this.#ended.clear();
    this.results.begin();
    await this.refresh();
    await this.#refreshResults();
    this.#changed();
  }

  /** What was heard live of a delivery is in the record a moment later. @param {Job} job @returns {Job} */
  #withNote(job) {
    const known = this.#active.get(job.job_id);
    const isSameRun = job.status === "running" && known?.status === "running" && known.attempt === job.attempt;
    return isSameRun && job.delivery === null ? { ...job, delivery: known.delivery } : job;
  }

  /** Ends all streams: nobody looks. */
  rest() {
    for (const controller of this.#followed.values()) controller.abort();
    this.#followed.clear();
  }

  /** The first of each queue, with their places: the list of all that wait begins with the newest. */
  async #readNext() {
    const pages = await Promise.all(
      this.#queues().map(({ queue, source }) => {
        const query = new URLSearchParams({ source, limit: String(listed) });
        return /** @type {Promise<{ jobs: Job[] }>} */ (
          this.#api.get(`/queues/${encodeURIComponent(queue)}/waiting?${query}`)
        );
      }),
    );
    return pages.flatMap(({ jobs }) => jobs);
  }

  /** The opened one, while it has not ended and no list has it. */
  async #reopen() {
    if (this.#opened === null || this.#opened.settled_at !== null || this.#active.has(this.#opened.job_id)) return;
    try {
      this.#opened = await this.#read(this.#opened.job_id);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      this.#opened = null;
    }
  }

  /** @param {URLSearchParams} query @returns {Promise<Page>} */
  #list(query) {
    return this.#api.get(`/jobs?${query}`);
  }

  /** @param {string} jobId @returns {Promise<Job>} */
  #read(jobId) {
    return this.#api.get(pathOf(jobId));
  }

  async #refreshResults() {
    const heard = (/** @type {number} */ sinceMs) =>
      [...this.#ended.values()].filter(({ receivedAtMs }) => receivedAtMs > sinceMs).map(({ job }) => job);
    const { shown } = this.results;
    await this.results.refresh(
      (sinceMs) => heard(sinceMs).filter(({ status }) => status === shown),
      (jobId) => this.#active.has(jobId),
    );
  }

  /** Shows a job that has just been put on its queue, at once and live. @param {string} jobId */
  async #track(jobId) {
    this.#ended.delete(jobId);
    const job = await this.#read(jobId);
    if (job.settled_at === null) this.#active.set(jobId, job);
    else this.#settle(job);
    this.#changed();
  }

  #changed() {
    const wanted = new Set([...this.running, ...this.waiting].slice(0, followedAtOnce).map(({ job_id }) => job_id));
    for (const [id, controller] of this.#followed) {
      if (this.#active.has(id) && (wanted.has(id) || this.#followed.size <= followedAtOnce)) continue;
      controller.abort();
      this.#followed.delete(id);
    }
    for (const id of wanted) {
      if (this.#followed.size >= followedAtOnce || document.hidden) break;
      if (!this.#followed.has(id)) void this.#follow(id);
    }
    this.dispatchEvent(new Event("change"));
  }

  /** @param {string} jobId */
  async #follow(jobId) {
    const controller = new AbortController();
    const { signal } = controller;
    this.#followed.set(jobId, controller);
    for await (const { event, data } of this.#api.events(jobId, signal)) {
      if (signal.aborted) return;
      if (event === "delivery") this.#note(jobId, /** @type {Job["delivery"]} */ (data));
      else this.#take(jobId, event, /** @type {EventData} */ (data));
      // Steps can come faster than anybody sees them.
      if (event === "progress") await pause(30, signal);
    }
    if (this.#followed.get(jobId) === controller) this.#followed.delete(jobId);
    // The stream has ended without a final state: the job was deleted, or the next list knows more.
    if (!signal.aborted && this.#active.delete(jobId)) this.#changed();
  }

  /**
   * @typedef {{ status: Job["status"], attempt: number, at: string, error: Job["error"], job?: Job,
   *   progress: number, step: number | null, total: number | null, url: string, queue_position: number | null }} EventData
   * @param {string} jobId
   * @param {string} event
   * @param {EventData} data whose fields depend on the event
   */
  #take(jobId, event, data) {
    const job = this.#active.get(jobId);
    if (job === undefined) return;
    const live = this.#live.get(jobId) ?? { step: null, total: null, progress: null, preview: null };
    if (event === "progress")
      this.#live.set(jobId, { ...live, step: data.step, total: data.total, progress: data.progress });
    else if (event === "preview") this.#live.set(jobId, { ...live, preview: data.url });
    else if (event === "place") this.#active.set(jobId, { ...job, queue_position: data.queue_position });
    // Stages and texts are not shown while a job runs, nor is what a newer container may send.
    else if (event !== "state") return;
    else if (data.job !== undefined) return this.#settleLive(data.job);
    else {
      const { status, attempt, error } = data;
      this.#active.set(jobId, { ...job, status, attempt, error: error ?? job.error, delivery: null });
      if (data.status === "queued") this.#live.delete(jobId);
    }
    this.#changed();
  }

  /** Why it has not ended though it has been worked off. @param {string} jobId @param {Job["delivery"]} delivery */
  #note(jobId, delivery) {
    const job = this.#active.get(jobId);
    if (job === undefined) return;
    this.#active.set(jobId, { ...job, delivery });
    this.#changed();
  }

  /** @param {Job} job */
  #settleLive(job) {
    this.#settle(job);
    this.#changed();
    this.dispatchEvent(new CustomEvent("settled", { detail: job }));
  }

  /** @param {Job} job */
  #settle(job) {
    const id = job.job_id;
    this.#active.delete(id);
    this.#live.delete(id);
    this.#ended.set(id, { job, receivedAtMs: performance.now() });
    if (this.#ended.size > remembered) this.#ended.delete(this.#ended.keys().next().value ?? "");
    if (this.#opened?.job_id === id) this.#opened = job;
    this.results.add(job);
  }
}

/** @param {string} jobId */
function pathOf(jobId) {
  return `/jobs/${encodeURIComponent(jobId)}`;
}

/** By its place in its queue, where that is known: else by priority, then by age. @param {Job} one @param {Job} other */
function inRunOrder(one, other) {
  const place = placeOf(one) - placeOf(other);
  const age = one.created_at < other.created_at ? -1 : 1;
  return Number.isNaN(place) || place === 0 ? other.priority - one.priority || age : place;
}

/** One that is not due yet comes after all that are. @param {Job & { queue_position?: number | null }} job */
function placeOf({ queue_position: place, available_at }) {
  if (place != null) return place;
  return Date.parse(available_at) > Date.now() ? Number.POSITIVE_INFINITY : Number.MAX_SAFE_INTEGER;
}
