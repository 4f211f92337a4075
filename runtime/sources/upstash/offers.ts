import { z } from "zod";
import { isCovered } from "../job-need.ts";
import type { JobNeed, Offer, UnofferedNeed } from "../job-source.ts";

/* What containers have announced that they can run, as it is kept: `<until, ms of the server>\n<JSON by worker>`. */

const names = z.array(z.string());
const announced = z.record(z.string(), z.object({ types: names, defaultModelTypes: names, models: names }));

/** The offers of one container, by worker. */
export type ContainerOffers = Readonly<Record<string, Offer>>;

export function formatOffers(offers: ReadonlyMap<string, Offer>, untilMs: number): string {
  return `${Math.floor(untilMs)}\n${JSON.stringify(Object.fromEntries(offers))}`;
}

/** Those of the containers whose offer counts now. One that a newer container wrote otherwise is not understood. */
export function readOffers(texts: readonly string[], nowMs: number): ContainerOffers[] {
  return texts.flatMap((text) => {
    const stop = text.indexOf("\n");
    if (!(Number(text.slice(0, stop)) > nowMs)) return [];
    const offers = announced.safeParse(parseJson(text.slice(stop + 1)));
    return offers.success ? [offers.data] : [];
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a job of this worker lacks; null when one of the containers can run what needs this. */
export function findLack(offers: readonly ContainerOffers[], worker: string, need: JobNeed): UnofferedNeed | null {
  const ofWorker = offers.flatMap((each) => (Object.hasOwn(each, worker) ? (each[worker] ?? []) : []));
  if (ofWorker.some((offer) => isCovered(need, offer))) return null;
  return { ...need, served: ofWorker.length > 0 };
}
