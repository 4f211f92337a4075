import { z } from "zod";

/** What an error carries that a call ended with. */
export interface CallDetails {
  /** The job type that was called. */
  readonly call: string;
  /** Details of the called handler's own error. */
  readonly details?: unknown;
}

const callDetails = z.object({ call: z.string() });

/** Whether an error is a call's: it says nothing of the worker, model and device of the caller that did not catch it. */
export function isOfCall({ details }: { readonly details?: unknown }): boolean {
  return callDetails.safeParse(details).success;
}
