import { setTimeout as pause } from "node:timers/promises";
import { retryDelaySeconds } from "#runtime/lib/backoff.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { ContainerFacts, Registrar } from "./registrar.ts";

/*
 * Registers the container again and again, so that it counts as there. Before each time its health is checked
 * through its public address: what nobody can reach must not be given to anybody.
 *
 *   waiting ──start──► beating ──stop──► silent ──deregister──► gone
 *
 * A beat that fails is tried again sooner, first within ten seconds: right after its start a pod's proxy may not know it.
 */
export interface HeartbeatOptions {
  readonly registrar: Registrar;
  readonly container: ContainerFacts;
  readonly everySeconds: number;
  readonly log: Logger;
  /** Rejects when the container is not reached at its public address. */
  checkAddress(url: string, signal: AbortSignal): Promise<void>;
  readonly random: () => number;
  /** Resolves after the time, or when the signal is aborted. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const firstRetrySeconds = 10;
const deregisterLimitMs = 5_000;

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #stopping = new AbortController();
  #beating: Promise<void> = Promise.resolve();
  #failures = 0;
  /** Whether a registration was sent; without an answer it may have arrived all the same. */
  #mayBeKnown = false;
  #isKnown = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  start(): void {
    this.#beating = this.#beat();
  }

  /** No more registrations. Resolves when none is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#beating;
  }

  /** After `stop`: takes the registration back, within five seconds or not at all; it then grows old by itself. */
  async deregister(): Promise<void> {
    const { registrar, container, log } = this.#options;
    if (!this.#mayBeKnown) return;
    try {
      await registrar.deregister(container, AbortSignal.timeout(deregisterLimitMs));
      log.info({ url: container.url }, "deregistered");
    } catch (error) {
      log.warn(
        { error, url: container.url },
        "the container could not be deregistered; it counts as gone after a while",
      );
    }
  }

  async #beat(): Promise<void> {
    const { signal } = this.#stopping;
    const { wait = waitFor } = this.#options;
    while (!signal.aborted) {
      await this.#register(signal);
      await wait(this.#pauseSeconds() * 1000, signal);
    }
  }

  /** Never rejects: the next time is soon. */
  async #register(signal: AbortSignal): Promise<void> {
    const { registrar, container, log, checkAddress } = this.#options;
    try {
      await checkAddress(container.url, signal);
      this.#mayBeKnown = true;
      await registrar.register(container, signal);
      if (!this.#isKnown) log.info({ url: container.url, capabilities: container.capabilities }, "registered");
      this.#isKnown = true;
      this.#failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      this.#isKnown = false;
      this.#failures++;
      log.warn({ error, url: container.url }, "the container could not be registered; it will be tried again");
    }
  }

  #pauseSeconds(): number {
    const { everySeconds, random } = this.#options;
    if (this.#failures > 0) return retryDelaySeconds(this.#failures, firstRetrySeconds, everySeconds, random);
    // Containers that started together do not register together for ever.
    return everySeconds * (0.9 + 0.2 * random());
  }
}

async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => undefined);
}
