import { fetchText, type ModelFetch } from "#runtime/container/model-fetches.ts";
import { troublesOf } from "#runtime/container/problems.ts";
import { ready } from "./api/ready.ts";
import { HttpError } from "./errors.ts";
import { hasReadyExecutor, type Vitals } from "./health.ts";
import { defineRoute } from "./http/route.ts";
import { limitsOf, offersAnything } from "./worker/offer-view.ts";

export const readyRoute = defineRoute(ready).handle((_request, runtime) => {
  const obstacle = obstacleOf(runtime);
  if (obstacle !== null) throw obstacle;
  return { status: 200, body: { ready: true, limited: limitsOf(runtime.offers) } };
});

/** Why no job would be taken now, null when one would. Anyone may ask, so it says no more than which part is not up. */
export function obstacleOf(vitals: Vitals): HttpError | null {
  const { dispatcher, executors, dataFolder } = vitals;
  if (dispatcher.state === "stopped") return new HttpError("SHUTTING_DOWN", "The container is shutting down.");
  if (dispatcher.state === "starting")
    return new HttpError("NOT_READY", "The container is starting: it takes no jobs yet.");
  if (dispatcher.state === "paused") return new HttpError("NOT_READY", "The container is paused: it takes no jobs.");
  if (dispatcher.failure !== null)
    return new HttpError("NOT_READY", "The loop that takes jobs has died: restart the container.");
  if (dataFolder.problem?.code === "DISK_FULL")
    return new HttpError("NOT_READY", "The disk of the data folder is full.");
  if (dataFolder.problem !== null)
    return new HttpError("NOT_READY", "The data folder is gone: put it back, or restart.");
  const troubles = troublesOf(vitals);
  if (troubles.some(({ code }) => code === "QUEUE_FULL"))
    return new HttpError("NOT_READY", "The queue is full and takes no new jobs.");
  if (troubles.length > 0) return new HttpError("NOT_READY", "The source of jobs does not answer.");
  const missing = [...vitals.fetches.pending.values()];
  if (missing.length > 0) return stillFetching(missing);
  if (vitals.offers.checked !== null) return new HttpError("NOT_READY", "The models are being looked at.");
  if (!vitals.warmUp.isDone) return new HttpError("NOT_READY", "The models of WARM_MODELS are being loaded.");
  if (!offersAnything(vitals.offers)) return nothingOffered(vitals);
  if (hasReadyExecutor(vitals)) return null;
  const states = [...executors.values()].map(({ status: { worker, state } }) => ({ worker, state }));
  const summary = states.map(({ worker, state }) => `${worker} is ${state}`).join(", ");
  return new HttpError("NOT_READY", `No executor can take a job: ${summary}.`, { details: states });
}

/** How far it is, without what only those with a key should read: why it fails is among the problems. */
function stillFetching(missing: readonly ModelFetch[]): HttpError {
  const models = missing.map((fetch) => ({
    model: fetch.name,
    received_bytes: fetch.hereBytes,
    total_bytes: fetch.totalBytes,
    code: fetch.failure?.error.code ?? null,
  }));
  const each = missing.map((fetch) => {
    const { name, failure } = fetch;
    return failure === null ? `${name} (${fetchText(fetch)})` : `${name} (failed, ${failure.error.code}; tried again)`;
  });
  return new HttpError("NOT_READY", `Models of MODELS are being fetched: ${each.join(", ")}.`, { details: { models } });
}

function nothingOffered({ offers }: Vitals): HttpError {
  const limited = limitsOf(offers);
  const reasons = limited.map(({ kind, subject, code }) => `${kind} ${subject} (${code})`).join(", ");
  const message = `There is no job that this container can run: ${reasons || "it has no handlers"}.`;
  return new HttpError("NOT_READY", message, { details: { limited } });
}
