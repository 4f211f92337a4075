import type { z } from "zod";
import type { Condition } from "#runtime/offers/conditions.ts";
import type { Offers } from "#runtime/offers/offers.ts";
import type { Quarantined } from "#runtime/offers/quarantine.ts";
import type { Offer } from "#runtime/sources/job-source.ts";
import type { conditionView, limitView, offerView, quarantineView } from "../api/schemas/worker-views.ts";
import { iso } from "../jobs/job-view.ts";

export function viewOffer({ types, defaultModelTypes, models }: Offer): z.output<typeof offerView> {
  return { types: [...types], default_model_types: [...defaultModelTypes], models: [...models] };
}

/** What is not run now, without what anyone should not read: messages name files. */
export function limitsOf({ conditions }: Pick<Offers, "conditions">): z.output<typeof limitView>[] {
  return conditions.filter(({ state }) => state === "active").map(viewLimit);
}

export function viewCondition(condition: Condition): z.output<typeof conditionView> {
  const { error, isAbsence = false, nextLookMs, state } = condition;
  const next_look = nextLookMs === null ? null : iso(nextLookMs);
  return { ...viewLimit(condition), message: error.message, next_look, absent: isAbsence, state };
}

export function viewQuarantined(one: Quarantined): z.output<typeof quarantineView> {
  const { userId, type, failures, error, sinceMs, untilMs } = one;
  const until = untilMs === null ? null : iso(untilMs);
  return { user_id: userId, type, failures, code: error.code, message: error.message, since: iso(sinceMs), until };
}

function viewLimit({ worker, kind, subject, error, sinceMs }: Condition): z.output<typeof limitView> {
  return { worker, kind, subject, code: error.code, since: iso(sinceMs) };
}

/** Whether there is any job that the container would run. */
export function offersAnything({ all }: Pick<Offers, "all">): boolean {
  return [...all.values()].some(
    ({ types, defaultModelTypes, models }) => defaultModelTypes.length > 0 || (types.length > 0 && models.length > 0),
  );
}
