import { z } from "zod";
import { CodedError } from "#contract/errors.ts";

/*
 * Where a change of many jobs has come to. A source looks for them lane by lane (a state, a group of failures), each from
 * its newest job to its oldest; a lane that is empty by now, or has gone, is passed over.
 */
const place = z.tuple([z.string().max(1000), z.number().int().min(0)]);

export interface LanePlace {
  readonly lane: string;
  /** The number of the job below which the lane goes on. */
  readonly before: number;
}

/** @throws CodedError INVALID_REQUEST when it is not one that a page returned */
export function readPlace(cursor: string | undefined): LanePlace {
  if (cursor === undefined) return { lane: "", before: Number.MAX_SAFE_INTEGER };
  try {
    const [lane, before] = place.parse(JSON.parse(Buffer.from(cursor, "base64url").toString()));
    return { lane, before };
  } catch (cause) {
    throw new CodedError("INVALID_REQUEST", `The cursor "${cursor.slice(0, 100)}" is not one that a page returned.`, {
      cause,
    });
  }
}

/** The lane that a place is in, or the first after it, with the number below which it goes on. */
export function laneAt<Lane extends { readonly key: string }>(
  lanes: readonly Lane[],
  { lane: key, before }: LanePlace,
): { readonly lane: Lane; readonly before: number } | null {
  const lane = lanes.toSorted(byKey).find((each) => each.key >= key);
  if (lane === undefined) return null;
  return { lane, before: lane.key === key ? before : Number.MAX_SAFE_INTEGER };
}

/**
 * The cursor after a page of this lane.
 * @param last the number of the job that was looked at last; null when the lane is through
 */
export function placeAfter(
  lanes: readonly { readonly key: string }[],
  key: string,
  last: number | null,
): string | null {
  const next = last === null ? lanes.toSorted(byKey).find((each) => each.key > key)?.key : key;
  if (next === undefined) return null;
  return Buffer.from(JSON.stringify([next, last ?? Number.MAX_SAFE_INTEGER])).toString("base64url");
}

function byKey(one: { readonly key: string }, other: { readonly key: string }): number {
  return one.key < other.key ? -1 : 1;
}
