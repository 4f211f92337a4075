import { CodedError } from "#contract/errors.ts";
import type { Offers } from "#runtime/offers/offers.ts";
import type { ConnectedSource } from "#runtime/sources/source-definition.ts";
import type { ModelFetches } from "./model-fetches.ts";

export interface FitnessWatchOptions {
  readonly offers: Pick<Offers, "all" | "conditions">;
  /** What is being fetched may be offered later. */
  readonly fetches: Pick<ModelFetches, "pending">;
  readonly sources: Iterable<Pick<ConnectedSource, "reportUnfit">>;
  /** The container is to come to its end with this error. */
  fail(error: CodedError): void;
  readonly lookEveryMs?: number;
}

/** So often in a row there has to be nothing: a minute. */
const maxLooks = 6;

/**
 * Where a platform replaces containers, one that can run nothing (no model loads, the device is lost) reports it and ends,
 * so that jobs come to others. Elsewhere it waits to be mended.
 */
export function watchFitness({
  offers,
  fetches,
  sources,
  fail,
  lookEveryMs = 10_000,
}: FitnessWatchOptions): () => void {
  const reports = [...sources].flatMap(({ reportUnfit }) => (reportUnfit === undefined ? [] : [reportUnfit]));
  if (reports.length === 0) return () => undefined;
  let looks = 0;
  const timer = setInterval(() => {
    const canRun = [...offers.all.values()].some(
      ({ types, defaultModelTypes, models }) => types.length > 0 && defaultModelTypes.length + models.length > 0,
    );
    looks = canRun || fetches.pending.size > 0 ? 0 : looks + 1;
    if (looks < maxLooks) return;
    clearInterval(timer);
    const why = offers.conditions[0]?.error.message ?? "No model of its job types is here and loads.";
    const reason = `The container can run no job. ${why}`;
    void Promise.all(reports.map((report) => report({ check: "offers", reason }))).then(() =>
      fail(new CodedError("NOT_READY", reason)),
    );
  }, lookEveryMs);
  timer.unref();
  return () => clearInterval(timer);
}
