import type { Command } from "./command.ts";

/**
 * What a gateway in a test does wrong on purpose, so that clients can be tested against a network that breaks at the
 * worst moment. "before" is before anything was applied, "after" when everything was and the reply is due.
 */
export type Fault =
  /** The connection breaks without an answer. */
  | { readonly kind: "drop"; readonly at: "before" | "after" }
  /** The request takes longer. */
  | { readonly kind: "delay"; readonly at: "before" | "after"; readonly delayMs: number }
  /** Something in front of Redis answers; nothing is applied. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly body: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** An event stream breaks when the signal aborts. */
  | { readonly kind: "cut"; readonly signal: AbortSignal };

export interface FaultRequest {
  readonly route: "command" | "pipeline" | "multi-exec" | "subscribe" | "psubscribe";
  /** The commands; for an event stream none. */
  readonly commands: readonly Command[];
}

/** Decides for each request what goes wrong with it. */
export type Faults = (request: FaultRequest) => Fault | undefined;

export const tooManyRequests: Fault = {
  kind: "answer",
  status: 429,
  headers: { "content-type": "application/json", "retry-after": "1" },
  body: '{"error":"ERR max requests limit exceeded"}',
};

/** As a load balancer answers: no JSON. */
export const badGateway: Fault = {
  kind: "answer",
  status: 502,
  headers: { "content-type": "text/html" },
  body: "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
};

/** The fault for the first request that the predicate picks, then none. */
export function faultOnce(fault: Fault, predicate: (request: FaultRequest) => boolean = () => true): Faults {
  let isDue = true;
  return (request) => {
    if (!isDue || !predicate(request)) return undefined;
    isDue = false;
    return fault;
  };
}

/**
 * Each fault with its probability; the probabilities together are at most 1.
 *
 * @param random returns a number from 0 up to 1; a seeded one makes a run repeatable
 */
export function randomFaults(
  rates: readonly { readonly fault: Fault; readonly probability: number }[],
  random: () => number,
): Faults {
  return () => {
    let draw = random();
    for (const { fault, probability } of rates) {
      if (draw < probability) return fault;
      draw -= probability;
    }
    return undefined;
  };
}
