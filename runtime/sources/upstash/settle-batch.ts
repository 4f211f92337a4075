import type { SettleOutcome } from "../job-source.ts";

export interface BatchedSettlement {
  readonly jobId: string;
  readonly token: string;
  /** What the script says of the third argument of each lease. */
  readonly ending: string;
}

interface Waiting {
  readonly settlement: BatchedSettlement;
  readonly resolve: (outcome: SettleOutcome) => void;
  readonly reject: (error: unknown) => void;
}

const maxInOneCall = 256;
const maxCharactersInOneCall = 4_000_000;

/**
 * Makes one call of what is settled in the same moment: jobs that end together cost less and take one round trip. A
 * settlement that is alone is sent at once.
 */
export class SettleBatch {
  readonly #settle: (settlements: readonly BatchedSettlement[]) => Promise<SettleOutcome[]>;
  #waiting: Waiting[] = [];

  constructor(settle: (settlements: readonly BatchedSettlement[]) => Promise<SettleOutcome[]>) {
    this.#settle = settle;
  }

  add(settlement: BatchedSettlement): Promise<SettleOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<SettleOutcome>();
    this.#waiting.push({ settlement, resolve, reject });
    if (this.#waiting.length === 1) queueMicrotask(() => this.#flush());
    return promise;
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const part of inParts(waiting)) void this.#send(part);
  }

  async #send(part: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#settle(part.map(({ settlement }) => settlement));
      for (const [place, { resolve }] of part.entries()) resolve(outcomes[place] ?? "lost");
    } catch (error) {
      for (const { reject } of part) reject(error);
    }
  }
}

function inParts(waiting: readonly Waiting[]): Waiting[][] {
  const parts: Waiting[][] = [];
  let characters = 0;
  for (const each of waiting) {
    const part = parts.at(-1);
    characters += each.settlement.ending.length;
    if (part === undefined || part.length === maxInOneCall || characters > maxCharactersInOneCall) {
      parts.push([each]);
      characters = each.settlement.ending.length;
    } else {
      part.push(each);
    }
  }
  return parts;
}
