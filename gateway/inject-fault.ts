import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault } from "./faults.ts";

/**
 * Makes the fault happen when its time is now.
 *
 * @returns whether the request has been dealt with
 */
export async function injectFault(
  fault: Fault,
  now: "before" | "after",
  response: ServerResponse,
  stopping: AbortSignal,
): Promise<boolean> {
  switch (fault.kind) {
    case "drop":
      if (fault.at === now) response.destroy();
      return fault.at === now;
    case "delay":
      if (fault.at === now) await sleep(fault.delayMs, undefined, { signal: stopping }).catch(() => undefined);
      return false;
    case "answer":
      if (now === "after") return false;
      response.writeHead(fault.status, fault.headers).end(fault.body);
      return true;
    case "cut":
      if (now === "before") fault.signal.addEventListener("abort", () => response.destroy(), { once: true });
      return false;
  }
}
