// @ts-check

/*
 * Settled jobs of the status that is shown, newest first, as far as somebody has looked. Type and user are narrowed by the
 * container. A text is looked for here, in pages that are read one after another: the newest thousand at once, more on demand.
 */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {"completed" | "failed" | "cancelled"} Settled */
/** @typedef {{ jobs: Job[], cursor: string | null }} Page */
/** @typedef {{ text: string, type: string, user: string }} Filter "" where nothing is narrowed */

const pageSize = 24;
const searchPage = 200;
const searchedAtOnce = 1000;

export class Results {
  #list;
  /** @type {Settled} */
  #shown = "completed";
  /** @type {Filter} */
  #filter = { text: "", type: "", user: "" };
  /** @type {readonly Job[]} */
  #jobs = [];
  /** @type {string | null} */
  #cursor = null;
  #looked = 0;
  #isPaged = false;
  #isLoaded = false;
  /** Counts changes of what is shown: an answer that comes after the next one is for nobody. */
  #choice = 0;

  /** @param {(query: URLSearchParams) => Promise<Page>} list */
  constructor(list) {
    this.#list = list;
  }

  /** Another array whenever something in it has changed. */
  get jobs() {
    return this.#jobs;
  }

  get shown() {
    return this.#shown;
  }

  get filter() {
    return this.#filter;
  }

  get isNarrowed() {
    return Object.values(this.#filter).some((value) => value !== "");
  }

  /** Jobs that were compared with the text. */
  get looked() {
    return this.#looked;
  }

  get hasOlder() {
    return this.#cursor !== null;
  }

  /** Whether anything is known of them. */
  get isLoaded() {
    return this.#isLoaded;
  }

  /** Nothing is known any more: the next reading fills it. @param {{ shown?: Settled, filter?: Filter }} [choice] */
  begin({ shown = this.#shown, filter = this.#filter } = {}) {
    this.#choice++;
    this.#shown = shown;
    this.#filter = filter;
    this.#jobs = [];
    this.#cursor = null;
    this.#looked = 0;
    this.#isPaged = false;
    this.#isLoaded = false;
  }

  /**
   * Reads the newest page and lays it over what is known.
   * @param {(requestedAtMs: number) => Job[]} heard jobs whose ends were heard since then
   * @param {(jobId: string) => boolean} isActive
   */
  async refresh(heard, isActive) {
    const choice = this.#choice;
    const requestedAtMs = performance.now();
    const page = await this.#list(this.#query());
    if (choice !== this.#choice) return;
    // What was paged to stays.
    const oldest = page.jobs.at(-1)?.created_at ?? "";
    const older = this.#isPaged ? this.#jobs.filter(({ created_at }) => created_at < oldest) : [];
    const known = [...page.jobs, ...heard(requestedAtMs), ...older].filter((job) => this.#matches(job));
    this.#jobs = newestFirst(known).filter(({ job_id }) => !isActive(job_id));
    if (!this.#isPaged) {
      this.#cursor = page.cursor;
      this.#looked = page.jobs.length;
    }
    const isFirst = !this.#isLoaded;
    this.#isLoaded = true;
    if (isFirst && this.#filter.text !== "") await this.older();
  }

  /** Goes further back: by a page, or for a text until enough is found or a thousand jobs were looked at. */
  async older() {
    const choice = this.#choice;
    for (let looked = 0, found = 0; looked < searchedAtOnce && found < pageSize && this.#cursor !== null; ) {
      const query = this.#query();
      query.set("cursor", this.#cursor);
      const page = await this.#list(query);
      if (choice !== this.#choice) return;
      const matching = page.jobs.filter((job) => this.#matches(job));
      this.#jobs = newestFirst([...this.#jobs, ...matching]);
      this.#cursor = page.cursor;
      this.#isPaged = true;
      this.#looked += page.jobs.length;
      looked += page.jobs.length;
      found += matching.length;
      if (this.#filter.text === "") return;
    }
  }

  /** One that has just ended. @param {Job} job */
  add(job) {
    if (job.status === this.#shown && this.#matches(job)) this.#jobs = newestFirst([job, ...this.#jobs]);
  }

  /** @param {string} jobId */
  remove(jobId) {
    this.#jobs = this.#jobs.filter(({ job_id }) => job_id !== jobId);
  }

  #query() {
    const { text, type, user } = this.#filter;
    const limit = String(text === "" ? pageSize : searchPage);
    return new URLSearchParams({
      status: this.#shown,
      limit,
      ...(type === "" ? {} : { type }),
      ...(user === "" ? {} : { user_id: user }),
    });
  }

  /** @param {Job} job */
  #matches({ job_id, type, prompt, user_id, error }) {
    const { text, type: wanted, user } = this.#filter;
    if ((wanted !== "" && wanted !== type) || (user !== "" && user !== user_id)) return false;
    const texts = [job_id, type, prompt ?? "", user_id, error?.code ?? "", error?.message ?? ""];
    return text === "" || texts.some((each) => each.toLowerCase().includes(text.toLowerCase()));
  }
}

/** Each job once, the first mention of it. @param {Job[]} jobs */
function newestFirst(jobs) {
  const unique = new Map([...jobs].reverse().map((job) => [job.job_id, job]));
  return [...unique.values()].sort((one, other) => (one.created_at < other.created_at ? 1 : -1));
}
