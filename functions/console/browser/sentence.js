// @ts-check
import { ApiError } from "./api.js";
import { duration } from "./words.js";

/** What whoever runs the container can do, by what keeps the language model from answering. */
const remedies = new Map([
  ["UNKNOWN_JOB_TYPE", "Start the container with “chat” among its WORKERS."],
  ["MODEL_NOT_FOUND", "Put a language model into its models folder as “chat”, or choose another one."],
]);

/** What went wrong, what can be done, and when there is sense in trying again. @param {unknown} error @returns {string} */
export function sentenceOf(error) {
  if (error instanceof TypeError) return "The connection broke off.";
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const problems = error.problems.map(({ field, message }) => `${field} ${message}`);
  const reason = problems.length > 0 ? `${problems.join("; ")}.` : error.message;
  const wait = error.retryAfterSeconds === null ? "" : `Try again in ${duration(error.retryAfterSeconds)}.`;
  return [reason, remedies.get(causeOf(error.details)) ?? "", wait].filter((text) => text !== "").join(" ");
}

/** The code of what kept a called model from answering. @param {unknown} details */
function causeOf(details) {
  if (typeof details !== "object" || details === null || !("code" in details)) return "";
  return String(details.code);
}
