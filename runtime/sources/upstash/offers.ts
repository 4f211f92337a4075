import type { Offer } from "../job-source.ts";

/** A container's offers as queue-offers.ts of the contract reads them. */
export function formatOffers(offers: ReadonlyMap<string, Offer>, untilMs: number): string {
  return `${Math.floor(untilMs)}\n${JSON.stringify(Object.fromEntries(offers))}`;
}
