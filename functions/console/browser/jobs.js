// @ts-check
import { pause } from "./api.js";

/*
 * The jobs that the page shows. Lists are requested now and then; what runs is followed live, a few jobs at a time,
 * because a browser opens six connections to one host and pictures need some of them.
 *
 *   active    queued or running, from the lists and from the live events
 *   results   settled jobs of the status that is shown, newest first
 *
 * A list that was requested before a job's end was heard may show that it still runs: then the end is believed. One that was
 * requested later is newer: the job was retried, here or elsewhere.
 */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./api.js").Api} Api */
/** @typedef {"completed" | "failed" | "cancelled"} Settled */
/** @typedef {{ jobs: Job[], cursor: string | null }} Page */
/** @typedef {{ step: number | null, total: number | null, progress: number | null, preview: string | null }} Live */

const followedAtOnce = 3;
const listed = 20;
const pageSize = 24;
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
  /** @type {Job[]} */
  #results = [];
  /** @type {string | null} */
  #cursor = null;
  /** @type {Settled} */
  #shown = "completed";
  #rounds = 0;
  /** @type {string | null} */
  #activeBefore = null;
  hasResults = false;
  /** Whether anything is known of what runs and waits. */
  hasActive = false;

  /** @param {Api} api */
  constructor(api) {
    super();
    this.#api = api;
  }

  /** Running ones first, then those that wait, the oldest first. */
  get active() {
    const order = (/** @type {Job} */ { status, created_at }) => `${status === "running" ? 0 : 1} ${created_at}`;
    return [...this.#active.values()].sort((one, other) => (order(one) < order(other) ? -1 : 1));
  }

  get results() {
    return this.#results;
  }

  get shown() {
    return this.#shown;
  }

  get hasOlder() {
    return this.#cursor !== null;
  }

  /** @param {string} jobId @returns {Job | undefined} */
  find(jobId) {
    return (
      this.#active.get(jobId) ?? this.#results.find(({ job_id }) => job_id === jobId) ?? this.#ended.get(jobId)?.job
    );
  }

  /** @param {string} jobId @returns {Live | undefined} */
  live(jobId) {
    return this.#live.get(jobId);
  }

  /** Reads the lists anew. */
  async refresh() {
    const requestedAtMs = performance.now();
    const [running, queued] = await Promise.all([
      this.#list(`status=running&limit=${listed}`),
      this.#list(`status=queued&limit=${listed}`),
    ]);
    const now = new Map([...queued.jobs, ...running.jobs].map((job) => [job.job_id, this.#withNote(job)]));
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

  /** @param {Settled} status */
  async show(status) {
    this.#shown = status;
    this.#results = [];
    this.#cursor = null;
    this.hasResults = false;
    this.#changed();
    await this.#refreshResults();
    this.#changed();
  }

  async showOlder() {
    if (this.#cursor === null) return;
    const shown = this.#shown;
    const page = await this.#list(`status=${shown}&limit=${pageSize}&cursor=${encodeURIComponent(this.#cursor)}`);
    if (shown !== this.#shown) return;
    this.#results = newestFirst([...this.#results, ...page.jobs]);
    this.#cursor = page.cursor;
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
    this.#results = this.#results.filter(({ job_id }) => job_id !== jobId);
    await this.#track(jobId);
  }

  /** Forgets a job that has ended, with its files. @param {string} jobId */
  async discard(jobId) {
    await this.#api.call("POST", `${pathOf(jobId)}/discard?files=true`, {});
    this.#ended.delete(jobId);
    this.#results = this.#results.filter(({ job_id }) => job_id !== jobId);
    this.#changed();
  }

  /** Reads the results anew after many of them were changed. */
  async reload() {
    this.#ended.clear();
    this.#results = [];
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

  /** @param {string} query @returns {Promise<Page>} */
  #list(query) {
    return this.#api.get(`/jobs?${query}`);
  }

  /** @param {string} jobId @returns {Promise<Job>} */
  #read(jobId) {
    return this.#api.get(pathOf(jobId));
  }

  async #refreshResults() {
    const shown = this.#shown;
    const requestedAtMs = performance.now();
    const page = await this.#list(`status=${shown}&limit=${pageSize}`);
    if (shown !== this.#shown) return;
    const isPaged = this.#results.length > pageSize;
    // What was paged to stays: the first page is laid over it.
    const oldest = page.jobs.at(-1)?.created_at ?? "";
    const older = isPaged ? this.#results.filter(({ created_at }) => created_at < oldest) : [];
    const ended = [...this.#ended.values()].filter(
      ({ job, receivedAtMs }) => job.status === shown && receivedAtMs > requestedAtMs,
    );
    this.#results = newestFirst([...page.jobs, ...ended.map(({ job }) => job), ...older]).filter(
      ({ job_id }) => !this.#active.has(job_id),
    );
    if (!isPaged) this.#cursor = page.cursor;
    this.hasResults = true;
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
    const wanted = new Set(this.active.slice(0, followedAtOnce).map(({ job_id }) => job_id));
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
   *   progress: number, step: number | null, total: number | null, url: string }} EventData
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
    else if (event === "stage") return;
    else if (event === "preview") this.#live.set(jobId, { ...live, preview: data.url });
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
    if (job.status === this.#shown) this.#results = newestFirst([job, ...this.#results]);
  }
}

/** @param {string} jobId */
function pathOf(jobId) {
  return `/jobs/${encodeURIComponent(jobId)}`;
}

/** Each job once, the first mention of it. @param {Job[]} jobs */
function newestFirst(jobs) {
  const unique = new Map([...jobs].reverse().map((job) => [job.job_id, job]));
  return [...unique.values()].sort((one, other) => (one.created_at < other.created_at ? 1 : -1));
}
