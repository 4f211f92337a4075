import { z } from "zod";

/* What containers have announced on Redis that they can run, as it is kept: `<until, ms of the server>\n<JSON by worker>`. */

/** What a container must offer to run a job. `model`: what the job names in `model_variant`. */
const jobNeed = z.object({ type: z.string(), model: z.string().nullable() });
export type JobNeed = Readonly<z.output<typeof jobNeed>>;

/**
 * What a job needs and no container offers. `served` is false when no container runs the worker of such jobs at all, true when
 * one does, but has not what they need.
 */
export const unofferedNeed = jobNeed.extend({ served: z.boolean() });
export type UnofferedNeed = Readonly<z.output<typeof unofferedNeed>>;

const names = z.array(z.string());
const offer = z.object({ types: names, defaultModelTypes: names, models: names });
const announced = z.record(z.string(), offer);

/** What a container offers for one worker. */
type AnnouncedOffer = Readonly<{ [Field in keyof z.output<typeof offer>]: readonly string[] }>;

/** The offers of one container, by worker. */
export type ContainerOffers = Readonly<Record<string, AnnouncedOffer>>;

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

/** Whether a container that offers this can run a job with that need. */
export function isCovered({ type, model }: JobNeed, { types, defaultModelTypes, models }: AnnouncedOffer): boolean {
  if (!types.includes(type)) return false;
  return model === null ? defaultModelTypes.includes(type) : models.includes(model);
}

/** What a job of this worker lacks; null when one of the containers can run what needs this. */
export function findLack(offers: readonly ContainerOffers[], worker: string, need: JobNeed): UnofferedNeed | null {
  const ofWorker = offers.flatMap((each) => (Object.hasOwn(each, worker) ? (each[worker] ?? []) : []));
  if (ofWorker.some((offered) => isCovered(need, offered))) return null;
  return { ...need, served: ofWorker.length > 0 };
}
