import { EventEmitter } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type { ErrorReport } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import type { Job } from "#contract/job.ts";
import type { Engines } from "#runtime/engines/engine-settings.ts";
import { type HandlerProblem, type LoadedHandler, loadHandler, type Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobSource, Lease, Offer, UserJobs } from "#runtime/sources/job-source.ts";
import { Announcer } from "./announcer.ts";
import { AttemptFindings, type AttemptReport } from "./attempt-findings.ts";
import { computeOffer, emptyOffer, isCovered, type JobToRun } from "./compute-offer.ts";
import { type Condition, Conditions, type Watched } from "./conditions.ts";
import { EngineModels, type ModelView } from "./engine-models.ts";
import { HandlerWatch } from "./handler-watch.ts";
import { logChanges } from "./log-changes.ts";
import { type ComingOf, ModelWatch } from "./model-watch.ts";
import { Quarantine, type Quarantined } from "./quarantine.ts";
import { SeenConditions, type SeenExecutor } from "./seen-conditions.ts";

/** What the offers need to know of an executor. */
export interface OfferingExecutor extends SeenExecutor {
  on(event: "state", listener: () => void): unknown;
  off(event: "state", listener: () => void): unknown;
}

export interface OffersOptions {
  readonly registry: Registry;
  readonly executors: ReadonlyMap<string, OfferingExecutor>;
  readonly sources: readonly Pick<JobSource, "announce">[];
  readonly handlersFolder: string;
  readonly modelsFolder: string;
  /** Commands that run a worker's jobs: what they stand for has no folder. */
  readonly engines: Engines;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** For who writes handlers: every change of one, or of what it imports, is loaded at once, and what cannot be is given to this. */
  readonly onProblem?: ((problem: HandlerProblem) => void) | undefined;
  /** Why a model is not there yet that is being fetched. */
  readonly comingOf?: ComingOf;
  /** The worker's process must not be used any more. */
  restart(worker: string): void;
  /** A handler came, or its file was mended: the worker's process has to load it too, if there is one. */
  onHandler(handler: Handler): void;
}

/** How often models and handlers are looked at; each look costs `stat` calls. */
const lookEveryMs = 2000;
const lookWhileWrittenMs = 300;
/** How long a job is held that was taken although it is not offered, before it goes back. */
const notOfferedPauseMs = 1000;

/**
 * What this container offers, by worker: from the handlers that work, the models that are in order, and what attempts have
 * found. Emits `change` when an offer or a condition is another one, and when the pause of somebody's jobs is over.
 */
export class Offers extends EventEmitter<{ change: [] }> {
  readonly #options: OffersOptions;
  readonly #conditions: Conditions;
  readonly #quarantine: Quarantine;
  readonly #models: ModelWatch;
  readonly #handlers: HandlerWatch;
  readonly #announcer: Announcer;
  readonly #findings: AttemptFindings;
  readonly #seen: SeenConditions;
  readonly #leaves: (() => void)[] = [];
  #offers: ReadonlyMap<string, Offer> = new Map();
  #current: readonly Condition[] = [];
  #timer: NodeJS.Timeout | null = null;
  #wake: NodeJS.Timeout | null = null;
  #pauseEnd: NodeJS.Timeout | null = null;
  #look: Promise<void> | null = null;
  #checked: Promise<void> = Promise.resolve();
  #isChecked = false;
  #stopped = false;

  constructor(options: OffersOptions) {
    super();
    this.#options = options;
    this.#conditions = new Conditions(options.nowMs);
    this.#quarantine = new Quarantine(options.nowMs);
    this.#models = new ModelWatch(options.modelsFolder, options.nowMs, options.comingOf);
    this.#handlers = new HandlerWatch(options.handlersFolder, { withImports: options.onProblem !== undefined });
    this.#seen = new SeenConditions(options.registry, (worker) => this.#modelsOf(worker), options.nowMs);
    this.#announcer = new Announcer(options.sources, options.log);
    const { registry, executors, log, restart } = options;
    this.#findings = new AttemptFindings({
      registry,
      log,
      conditions: this.#conditions,
      quarantine: this.#quarantine,
      models: this.#models,
      workers: () => executors.keys(),
      versionOf: this.#versionOf,
      restart,
    });
  }

  /**
   * Resolves when the offers are known by the names of what is there, so that the first take does not wait for the
   * headers of all weights. They are read from then on: see {@link checked}.
   */
  async start(): Promise<void> {
    for (const executor of this.#options.executors.values()) this.watch(executor);
    await this.#models.list();
    this.#update();
    this.#checked = this.look();
    if (this.#options.onProblem !== undefined) void this.#watchHandlers();
  }

  /** Resolves when everything has been looked at once; null from then on. No job is to run before: its model may be broken. */
  get checked(): Promise<void> | null {
    return this.#isChecked ? null : this.#checked;
  }

  /** Another executor to be heard of. That it is busy or idle changes no offer: it says so twice for every job. */
  watch(executor: OfferingExecutor): void {
    let { types, startError } = executor.status;
    const listener = () => {
      const { status } = executor;
      if (status.types === types && status.startError === startError) return;
      ({ types, startError } = status);
      this.#update();
    };
    executor.on("state", listener);
    this.#leaves.push(() => executor.off("state", listener));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of [this.#timer, this.#wake, this.#pauseEnd]) if (timer) clearTimeout(timer);
    for (const leave of this.#leaves.splice(0)) leave();
    await this.#look;
    await this.#announcer.stop();
  }

  of(worker: string): Offer {
    return this.#offers.get(worker) ?? emptyOffer;
  }

  get all(): ReadonlyMap<string, Offer> {
    return this.#offers;
  }

  /** What keeps this container from running everything that its handlers are for. */
  get conditions(): readonly Condition[] {
    return this.#current;
  }

  /** Why the job would not be run here now; null when it would. */
  obstacleTo(job: JobToRun): ErrorReport | null {
    const { registry, executors } = this.#options;
    const handler = registry.get(job.type);
    if (handler === undefined) {
      const known = registry.problems.find(({ type }) => type === job.type);
      if (known !== undefined) return { code: "HANDLER_INVALID", message: known.problem };
      return { code: "UNKNOWN_JOB_TYPE", message: `There is no handler for ${job.type} here.` };
    }
    const { worker } = handler;
    if (!executors.has(worker)) return { code: "UNKNOWN_JOB_TYPE", message: `The worker ${worker} does not run here.` };
    if (isCovered(this.of(worker), job)) return null;
    const model = job.model_variant ?? handler.model;
    const models = this.#modelsOf(worker);
    const folder = model === undefined ? undefined : models.folderOf(model);
    const concerns = ({ kind, subject }: Condition) =>
      kind === "worker" || (kind === "type" ? subject === job.type : subject === folder);
    const found = this.#current.find((each) => each.worker === worker && each.state === "active" && concerns(each));
    if (found !== undefined) return found.error;
    return (model === undefined ? null : models.problemOf(model)) ?? { code: "NOT_READY", message: "Not now." };
  }

  /** Whose jobs let others' go first at present, and why. */
  get quarantined(): readonly Quarantined[] {
    return this.#quarantine.all();
  }

  /** For how long a job that was taken is to be put back, so that others' jobs go first; 0 when it is to run. */
  yieldMs(job: Job): number {
    const pauseMs = this.#quarantine.pauseMs(job);
    if (pauseMs > 0) this.#wakeAfterPause();
    return pauseMs;
  }

  /** Whose jobs the worker is not to take for now. */
  skipped(worker: string): readonly UserJobs[] {
    return this.#quarantine.waiting.filter(({ type }) => this.#options.registry.get(type)?.worker === worker);
  }

  /**
   * Whose jobs the worker takes only where there are no others: while it tries whether its trouble is over, those whose jobs
   * are known to fail would only say that it is not.
   */
  lastResorts(worker: string): readonly UserJobs[] {
    const probed = this.#conditions.all().filter((each) => each.worker === worker && each.state === "probing");
    if (probed.length === 0) return [];
    const isWhole = probed.some(({ kind }) => kind !== "type");
    const types = new Set(probed.map(({ subject }) => subject));
    const { registry } = this.#options;
    return this.#quarantine.members((type) => registry.get(type)?.worker === worker && (isWhole || types.has(type)));
  }

  /** An attempt has found what keeps this container from running its job. When this resolves, the offer leaves it out. */
  async onCondition(error: ErrorReport, lease: Pick<Lease, "job">): Promise<void> {
    const handler = this.#options.registry.get(lease.job.type);
    if (handler === undefined || !isCovered(this.of(handler.worker), lease.job)) {
      // It was taken although it is not offered: at once it would be taken again at once.
      await pause(notOfferedPauseMs);
      return;
    }
    this.#findings.onCondition(error, lease, handler);
    this.#update();
  }

  /** Every attempt that was run to an end. */
  onAttemptEnd(report: AttemptReport): void {
    if (this.#findings.onAttemptEnd(report)) this.#update();
  }

  readonly #versionOf = ({ kind, name }: Pick<Watched, "kind" | "name">): string | undefined =>
    kind === "model" ? this.#models.models.get(name)?.signature : this.#handlers.versionOf(name);

  /** Looks at models and handlers now; one look at a time. */
  look(): Promise<void> {
    this.#look ??= this.#lookOnce().finally(() => {
      this.#look = null;
    });
    return this.#look;
  }

  async #lookOnce(): Promise<void> {
    const startMs = performance.now();
    if (this.#timer) clearTimeout(this.#timer);
    try {
      if (this.#options.onProblem === undefined) await this.#lookAtHandlers();
      await this.#models.look(this.#neededModels());
    } catch (error) {
      this.#options.log.error({ error }, "models and handlers could not be looked at; trying again");
    }
    if (this.#stopped) return;
    this.#isChecked = true;
    this.#update();
    // Longer where looking takes long: a slow disk is left alone for most of the time.
    const tookMs = performance.now() - startMs;
    this.#timer = setTimeout(() => void this.look(), Math.max(lookEveryMs, tookMs * 10)).unref();
  }

  /** Who has saved a file looks at what comes of it: that does not wait for the models. */
  async #watchHandlers(): Promise<void> {
    while (!this.#stopped) {
      await this.#lookAtHandlers().catch((error: unknown) =>
        this.#options.log.error({ error }, "handlers could not be looked at; trying again"),
      );
      this.#update();
      await pause(lookWhileWrittenMs, undefined, { ref: false });
    }
  }

  /** Handlers that came, or whose file was broken here or in the executor, are loaded anew when their file is another one. */
  async #lookAtHandlers(): Promise<void> {
    const { registry, handlersFolder, log, onHandler, onProblem } = this.#options;
    for (const [file, version] of await this.#handlers.look()) {
      const type = file.slice(0, -".ts".length);
      const isSound = registry.get(type) !== undefined && !this.#isWithheld(type);
      if (isSound && onProblem === undefined) continue;
      const result: LoadedHandler = await loadHandler(handlersFolder, file, version);
      if ("problem" in result) onProblem?.(result);
      for (const handler of registry.update(result)) {
        log.info({ type: handler.type, worker: handler.worker }, "a handler was loaded anew");
        onHandler(handler);
      }
    }
  }

  #isWithheld(type: string): boolean {
    return this.#current.some((each) => each.kind === "type" && each.subject === type);
  }

  #neededModels(): string[] {
    return this.#options.registry.all().flatMap(({ model }) => (model === undefined ? [] : [model]));
  }

  /** What the worker's jobs may need: folders, or what its command stands for. */
  #modelsOf(worker: string): ModelView {
    const engine = this.#options.engines.get(worker);
    return engine === undefined ? this.#models : new EngineModels(engine);
  }

  readonly #update = (): void => {
    if (this.#stopped) return;
    this.#conditions.look(this.#versionOf);
    const { registry, executors } = this.#options;
    const before = this.#current;
    this.#current = [...this.#seen.look(executors), ...this.#conditions.all()];
    const offers = new Map<string, Offer>();
    for (const worker of executors.keys()) {
      const active = this.#current.filter((each) => each.worker === worker && each.state === "active");
      const subjects = (kind: Condition["kind"]) =>
        new Set(active.filter((each) => each.kind === kind).map(({ subject }) => subject));
      const handlers = registry.all().filter((handler) => handler.worker === worker);
      const withheld = { worker: subjects("worker").size > 0, types: subjects("type"), models: subjects("model") };
      offers.set(worker, computeOffer({ handlers, models: this.#modelsOf(worker).models, withheld }));
    }
    const hasChanged = JSON.stringify([...this.#offers]) !== JSON.stringify([...offers]);
    this.#offers = offers;
    // Other containers and the apps hear of nothing that may be broken.
    if (this.#isChecked) this.#announcer.offer(offers);
    this.#wakeForNextLook();
    if (logChanges(this.#options.log, before, this.#current) || hasChanged) this.emit("change");
  };

  /** Nothing else says that jobs which were skipped may be taken. */
  #wakeAfterPause(): void {
    const endMs = this.#quarantine.nextEndMs;
    if (this.#pauseEnd) clearTimeout(this.#pauseEnd);
    this.#pauseEnd = null;
    if (endMs === null || this.#stopped) return;
    const wake = () => {
      this.emit("change");
      this.#wakeAfterPause();
    };
    this.#pauseEnd = setTimeout(wake, Math.max(1, endMs - this.#options.nowMs())).unref();
  }

  /** A pause that is over is seen at once, and not with the next look at files. */
  #wakeForNextLook(): void {
    const { nextLookMs } = this.#conditions;
    if (this.#wake) clearTimeout(this.#wake);
    this.#wake = null;
    if (nextLookMs === null) return;
    this.#wake = setTimeout(this.#update, Math.max(1, nextLookMs - this.#options.nowMs())).unref();
  }
}
