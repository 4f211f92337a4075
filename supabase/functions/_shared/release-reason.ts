import { z } from "zod";

const maxCodeLength = 64;
const maxMessageLength = 300;

/** Why a container gave a job back to its queue without charging the attempt. */
export const releaseReason = z.object({ code: z.string(), message: z.string() });
export type ReleaseReason = z.output<typeof releaseReason>;

/** As it is kept with the attempt: bounded, because a job may be given back over and over. */
export function boundedReason({ code, message }: ReleaseReason): ReleaseReason {
  return { code: bounded(code, maxCodeLength), message: bounded(message, maxMessageLength) };
}

function bounded(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1).toWellFormed()}…`;
}
