import type { SourceUsage } from "../source-definition.ts";

/** What Upstash charges on its pay-as-you-go plan. */
const dollarsPerCommand = 0.2 / 100_000;
const hoursPerMonth = 730;
const hourMs = 3_600_000;

/** Counts what this source's commands cost: each script answers how many calls it made. */
export class UsageCounter {
  readonly #monotonicMs: () => number;
  readonly #startedAtMs: number;
  readonly #commands = new Map<string, number>();
  #requests = 0;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#startedAtMs = monotonicMs();
  }

  count(operation: string, commands: number): void {
    this.#commands.set(operation, (this.#commands.get(operation) ?? 0) + commands);
  }

  countRequest(): void {
    this.#requests += 1;
  }

  read(): SourceUsage {
    const elapsedMs = this.#monotonicMs() - this.#startedAtMs;
    const commands = [...this.#commands.values()].reduce((sum, each) => sum + each, 0);
    const commandsPerHour = (commands * hourMs) / Math.max(elapsedMs, 1000);
    return {
      commands,
      commandsByOperation: Object.fromEntries(this.#commands),
      requests: this.#requests,
      commandsPerHour,
      estimatedDollarsPerMonth: elapsedMs < 60_000 ? null : commandsPerHour * hoursPerMonth * dollarsPerCommand,
    };
  }
}
