import { shortened } from "#contract/problems.ts";
import { maxElementsRead, type Undecodable } from "#runtime/sources/undecodable.ts";
import type { UndecodableView } from "../api/undecodable-list.ts";
import { iso } from "../jobs/job-view.ts";

/** Elements without a job as they are shown, over HTTP and by the command. */
export function viewUndecodable({ elements, unreachable }: Undecodable, limit: number): UndecodableView {
  return {
    elements: elements.slice(0, limit).map(({ id, source, queue, reason, atMs, raw }) => ({
      id,
      source,
      queue,
      reason,
      at: iso(atMs),
      element: String(shortened(raw)),
    })),
    more: elements.length > limit || elements.length >= maxElementsRead,
    unreachable: [...unreachable],
  };
}
