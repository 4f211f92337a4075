// @ts-check
import { ApiError } from "./api.js";
import { copyOf, onSureClick, part, reconcile, setText, showText } from "./dom.js";
import { renderLimits } from "./limits.js";
import { renderOutbox } from "./outbox.js";
import { Panel } from "./panel.js";
import { renderQuarantine } from "./quarantine.js";
import { ago, counted, duration, size, time, unservedText } from "./words.js";

/* The container itself: its health, workers, GPU and queues. */

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("zod").z.output<typeof import("../../api/schemas/worker-views.ts").executorView>} Worker */
/** @typedef {import("zod").z.output<typeof import("../../api/schemas/worker-views.ts").gpuView>} Gpu */
/** @typedef {import("zod").z.output<typeof import("../../api/health.ts").problemView>} Problem */
/** @typedef {import("zod").z.output<typeof import("../../api/schemas/worker-views.ts").offerView>} Offer */
/** @typedef {{ dispatcher: string, workers: Record<string, Worker & { offer: Offer }>, conditions: import("./limits.js").Condition[], quarantine: import("./quarantine.js").Quarantined[], problems: (Problem & { message: string })[] }} Status */
/** @typedef {{ queue: string, queued: number, delayed: number, running: number, failed: number, source: string, paused_since: string | null, oldest_queued_seconds: number | null, unoffered: { type: string, model: string | null, served?: boolean, jobs: number }[] }} Queue */
/** @typedef {{ commands_per_hour: number, estimated_dollars_per_month: number | null } | null} Usage */

export class Machine {
  #api;
  isPaused = false;
  /** What the container runs now, by worker; null while that is not known. @type {Record<string, Offer> | null} */
  offers = null;
  /** @type {Queue[]} */
  queues = [];
  #panels;
  /**
   * Why the container does not answer at all; null when it does, and each part says for itself what is missing.
   * @type {ApiError | null}
   */
  silence = null;
  /** @type {number | null} */
  #silentSinceMs = null;

  #run;

  /** @param {Api} api @param {(action: Promise<unknown>) => void} run what a click began: reports why it did not work */
  constructor(api, run) {
    this.#api = api;
    this.#run = run;
    this.#panels = [
      new Panel("health", () => this.#loadHealth()),
      new Panel("workers", () => this.#loadStatus()),
      new Panel("gpu", () => this.#loadGpu()),
      new Panel("queues", () => this.#loadQueues()),
      new Panel("outbox", () => this.#loadOutbox()),
    ];
  }

  /**
   * Each part by itself.
   * @returns {Promise<unknown[]>} why parts could not be loaded
   * @throws {import("./api.js").ApiError} when the container needs a key
   */
  async refresh() {
    const errors = await Promise.all(this.#panels.map((panel) => panel.refresh()));
    const [health] = errors;
    this.silence = health instanceof ApiError && health.status === 0 ? health : null;
    return errors.filter((error) => error !== null);
  }

  async togglePause() {
    await this.#api.call("POST", this.isPaused ? "/worker/resume" : "/worker/pause", {});
    await this.refresh();
  }

  /** For every container. @param {string} name */
  async #toggleQueue(name) {
    const queue = this.queues.find((each) => each.queue === name);
    const action = queue?.paused_since == null ? "pause" : "resume";
    await this.#api.call("POST", `/queues/${encodeURIComponent(name)}/${action}`, {});
    await this.refresh();
  }

  /** @param {string} worker */
  async #restart(worker) {
    await this.#api.call("POST", `/worker/restart/${encodeURIComponent(worker)}`, {});
    await this.refresh();
  }

  async tryOutbox() {
    await this.#api.call("POST", "/outbox/try", {});
    await this.refresh();
  }

  /** The end of the job is reported no further. @param {string} jobId */
  async #giveUp(jobId) {
    await this.#api.call("POST", "/outbox/give-up", { job_id: jobId });
    await this.refresh();
  }

  /** The container does not answer at all, or locks the page out. @param {string} text */
  showSilence(text) {
    this.#silentSinceMs ??= Date.now();
    part(document, "health", HTMLElement).dataset.state = "unknown";
    setText(
      part(document, "health-text", HTMLElement),
      `${text} · since ${time(new Date(this.#silentSinceMs).toISOString())}`,
    );
  }

  async #loadHealth() {
    /** @type {{ status: string, version: string, problems: Problem[] }} */
    const { status, version, problems } = await this.#api.health();
    this.#silentSinceMs = null;
    const health = part(document, "health", HTMLElement);
    health.dataset.state = this.isPaused && problems.length === 0 ? "paused" : status;
    health.title = [`Version ${version}`, ...problems.map(({ summary }) => summary)].join("\n");
    const [first] = problems;
    const name = this.isPaused ? "Paused" : status.charAt(0).toUpperCase() + status.slice(1);
    const since = first?.since == null ? "" : ` · since ${time(first.since)}`;
    setText(
      part(document, "health-text", HTMLElement),
      first === undefined ? name : `${name} · ${first.summary}${since}`,
    );
  }

  async #loadStatus() {
    /** @type {Status} */
    const { dispatcher, conditions, quarantine, workers, problems } = await this.#api.get("/worker/status");
    this.isPaused = dispatcher === "paused";
    this.offers = Object.fromEntries(Object.entries(workers).map(([worker, { offer }]) => [worker, offer]));
    this.#renderPause();
    renderProblems(problems);
    renderLimits(conditions);
    renderQuarantine(quarantine);
    renderWorkers(workers, (worker) => this.#run(this.#restart(worker)));
  }

  async #loadGpu() {
    /** @type {{ gpu: Gpu | null }} */
    const { gpu } = await this.#api.get("/worker/resources");
    renderGpu(gpu);
  }

  async #loadQueues() {
    /** @type {{ queues: Queue[], usage: Usage, age: number }} */
    const { queues, usage, age } = await this.#api.get("/queues");
    this.queues = queues;
    renderQueues(queues, usage, age, (queue) => this.#run(this.#toggleQueue(queue)));
  }

  async #loadOutbox() {
    renderOutbox(await this.#api.get("/outbox"), (jobId) => this.#run(this.#giveUp(jobId)));
  }

  #renderPause() {
    const pause = part(document, "pause", HTMLButtonElement);
    pause.hidden = false;
    pause.title = this.isPaused ? "Go on taking jobs" : "Take no more jobs; those that run go on";
    pause.querySelector("use")?.setAttribute("href", this.isPaused ? "#icon-play" : "#icon-pause");
    setText(part(document, "pause-text", HTMLElement), this.isPaused ? "Resume" : "Pause");
  }
}

/** With what to do about each. @param {readonly (Problem & { message: string })[]} all */
function renderProblems(all) {
  // The outbox says by itself what keeps it.
  const problems = all.filter((problem) => problem.part !== "delivery");
  part(document, "problems", HTMLElement).hidden = problems.length === 0;
  reconcile(part(document, "problem-list", HTMLUListElement), problems, {
    key: ({ part: which, subject, code }) => `${which} ${subject} ${code}`,
    make: () => copyOf("limit"),
    update: (item, { summary, since, message }) => {
      setText(part(item, "name", HTMLElement), summary);
      setText(part(item, "since", HTMLElement), since === null ? "" : ago(since));
      showText(part(item, "text", HTMLElement), message === summary ? "" : message);
    },
  });
}

/** @param {Record<string, Worker>} workers @param {(worker: string) => void} restart */
function renderWorkers(workers, restart) {
  reconcile(part(document, "workers", HTMLUListElement), Object.entries(workers), {
    key: ([name]) => name,
    make: ([name]) => {
      const item = copyOf("worker");
      const button = part(item, "restart", HTMLButtonElement);
      button.ariaLabel = `Restart the worker ${name}`;
      onSureClick(
        button,
        () => "Restart? Its job goes back to the queue",
        () => restart(name),
      );
      return item;
    },
    update: (item, [name, worker]) => {
      const details = [
        counted(worker.jobs_processed, "job"),
        ...(worker.memory_usage === null ? [] : [size(worker.memory_usage)]),
        ...(worker.uptime === null ? [] : [`up ${duration(worker.uptime)}`]),
        ...(worker.restarts > 0 ? [counted(worker.restarts, "restart")] : []),
      ];
      fillFact(item, worker.status, name, worker.status === "active" ? "ready" : worker.status, details.join(" · "));
      showText(part(item, "problem", HTMLElement), worker.start_error ?? "");
      part(item, "restart", HTMLButtonElement).hidden = worker.status === "stopped";
    },
  });
}

/** @param {Gpu | null} gpu */
function renderGpu(gpu) {
  const meter = part(document, "gpu-meter", HTMLMeterElement);
  meter.hidden = gpu === null;
  setText(part(document, "gpu-name", HTMLElement), gpu?.name ?? "None");
  const text = part(document, "gpu-text", HTMLElement);
  if (gpu === null) {
    setText(text, "Jobs are run on the processor.");
    return;
  }
  const { memory_total: total, memory_used: used, utilization, temperature } = gpu;
  meter.value = total === null || used === null || total === 0 ? 0 : used / total;
  const details = [
    ...(total === null || used === null ? [] : [`${size(used)} of ${size(total)}`]),
    ...(utilization === null ? [] : [`${Math.round(utilization)} % busy`]),
    ...(temperature === null ? [] : [`${temperature} °C`]),
  ];
  setText(text, details.join(" · "));
}

/** A queue that is paid by the call is not counted each time: numbers of older than this say so. */
const freshSeconds = 10;

/**
 * @param {Queue[]} queues
 * @param {Usage} usage
 * @param {number} age in seconds, of the numbers
 * @param {(queue: string) => void} toggle pauses a queue, or lets it go on
 */
function renderQueues(queues, usage, age, toggle) {
  reconcile(part(document, "queues", HTMLUListElement), queues, {
    key: ({ queue }) => queue,
    make: ({ queue }) => {
      const item = copyOf("queue");
      part(item, "pause", HTMLButtonElement).addEventListener("click", () => toggle(queue));
      return item;
    },
    update: (item, { queue, queued, delayed, running, failed, oldest_queued_seconds: oldest, unoffered, ...rest }) => {
      const waiting = queued + delayed;
      const { paused_since: since } = rest;
      const pause = part(item, "pause", HTMLButtonElement);
      setText(pause, since === null ? "Pause" : "Resume");
      pause.ariaLabel = `${since === null ? "Pause" : "Resume"} ${queue} for all containers`;
      const details = [
        ...(since === null ? [] : [`paused for all containers since ${time(since)}`]),
        `${running} running`,
        ...(oldest === null ? [] : [`oldest ${duration(oldest)}`]),
        ...(delayed > 0 ? [`${delayed} delayed`] : []),
        ...(failed > 0 ? [`${failed} failed`] : []),
        ...unoffered.map(
          ({ type, model, jobs, served }) =>
            `${counted(jobs, "job needs", "jobs need")} ${model ?? type}${served === false ? `; ${unservedText(workerOf(queue))}` : ", which no container offers"}`,
        ),
      ];
      const state = failed + unoffered.length > 0 ? "failed" : waiting > 0 ? "waiting" : "empty";
      fillFact(item, state, queue, waiting === 0 ? "empty" : `${waiting} waiting`, details.join(" · "));
    },
  });
  const dollars = usage?.estimated_dollars_per_month;
  const cost = dollars == null ? "" : ` · about $${dollars.toFixed(2)} a month`;
  part(document, "queues-empty", HTMLElement).hidden = queues.length > 0;
  const counting = age < freshSeconds ? [] : [`counted ${duration(age)} ago`];
  const spent = usage === null ? [] : [`${counted(Math.round(usage.commands_per_hour), "command")} an hour${cost}`];
  const text = [...counting, ...spent].join(" · ");
  showText(part(document, "usage", HTMLElement), text);
}

/** @param {string} queue */
function workerOf(queue) {
  return queue.replace(/_queue$/, "");
}

/**
 * @param {HTMLElement} item
 * @param {string} mark the colour of its dot
 * @param {string} name
 * @param {string} state
 * @param {string} text
 */
function fillFact(item, mark, name, state, text) {
  item.dataset.state = mark;
  setText(part(item, "name", HTMLElement), name);
  setText(part(item, "state", HTMLElement), state);
  setText(part(item, "text", HTMLElement), text);
}
