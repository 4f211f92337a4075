import { CodedError, type ErrorCode, isErrorCode } from "#contract/errors.ts";

/** A call that failed, as the client reports it. Status 0: no answer came. */
export interface RestFailure {
  readonly status: number;
  /** SQLSTATE of the database, or a code of PostgREST's own (`PGRST…`); empty or absent when somebody else answered. */
  readonly code?: string | null;
  readonly message?: string | null;
  readonly details?: string | null;
  readonly hint?: string | null;
}

export interface Refusal {
  /** Trying again may help. */
  readonly passing: boolean;
  readonly error: CodedError;
}

const maxMessageCharacters = 300;

/** A refusal of our own functions: HTTP status as SQLSTATE, sentence as message, code as hint. */
const ownState = /^PT[1-5]\d\d$/;
/** The database could not do it now: starting, stopping, out of connections, in conflict with another transaction. */
const passingStates = /^(?:08|40|53[013]|55P03|57)/;
/** What a call meets inside a function when a migration moves its tables under way: the next one finds them. */
const changedMeanwhile = /^(?:42883|42P01|42804)$/;
/** A text with a character that JSON in the database cannot hold (NUL, half of a surrogate pair). */
const unstorableText = /^(?:22P05|22P02|22021)$/;

/** @param call what was asked, for the message */
export function classify(call: string, failure: RestFailure): Refusal {
  const code = failure.code ?? "";
  const words = (failure.message ?? "").slice(0, maxMessageCharacters);
  if (failure.status === 0) return unreachable(causeOf(failure));
  if (ownState.test(code)) return ownRefusal(failure, words);
  if (failure.status === 402) {
    const message =
      "The Supabase project is over its quota or restricted, no job can be taken or settled: raise its plan.";
    return lasting("QUEUE_OVER_QUOTA", `${message} Its answer: ${words}`);
  }
  if (failure.status === 401 || failure.status === 403) {
    return lasting(
      "CONFIG_INVALID",
      `The Supabase project refuses the key: check SUPABASE_SERVICE_KEY. Its answer: ${words}`,
    );
  }
  if (code === "PGRST202" || code === "3F000" || code === "PGRST106") {
    const remedy = "apply this project's migrations (supabase db push)";
    return lasting("CONFIG_INVALID", `The database of the Supabase project has no function ${call}: ${remedy}.`);
  }
  if (changedMeanwhile.test(code)) {
    const remedy = "apply this project's migrations (supabase db push)";
    const message = `The function ${call} does not fit the tables of the Supabase project: ${remedy}. Its answer: ${words}`;
    return { passing: true, error: new CodedError("CONFIG_INVALID", message) };
  }
  if (code === "25006" || code === "53100") {
    const message = "The database of the Supabase project is full or read-only and takes no writes: raise its size.";
    return lasting("QUEUE_FULL", `${message} Its answer: ${words}`);
  }
  if (unstorableText.test(code)) {
    return lasting("INVALID_JOB", `The database cannot keep this as it is (${call}): ${words}`);
  }
  if (isPassing(failure.status, code)) return unreachable(`it answered ${failure.status}: ${words}`);
  return lasting("INTERNAL", `The database refused ${call}: ${words} (${code === "" ? failure.status : code})`);
}

/** The message for a request that was not answered, or by somebody in front of the database. */
export function unreachable(why: string): Refusal {
  const message = `The Supabase project (SUPABASE_URL) cannot be reached: ${why}.`;
  return { passing: true, error: new CodedError("QUEUE_UNREACHABLE", message) };
}

function isPassing(status: number, code: string): boolean {
  if (status === 408 || status === 429) return true;
  // A page of a proxy has no code; without one, the database has not spoken.
  if (code === "") return status >= 500 || status < 400;
  return passingStates.test(code) || /^PGRST00[0-3]$/.test(code);
}

function ownRefusal(failure: RestFailure, words: string): Refusal {
  const code: ErrorCode = isErrorCode(failure.hint) ? failure.hint : "INTERNAL";
  return { passing: false, error: new CodedError(code, words, { details: detailsOf(failure.details) }) };
}

function detailsOf(text: string | null | undefined): unknown {
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `TypeError: fetch failed` says nothing; its cause, which the client puts into the details, has a code. */
function causeOf({ message, details, hint }: RestFailure): string {
  if (/TimeoutError|aborted/i.test(`${message} ${hint}`)) return "it did not answer in time";
  const cause = /\(((?:E|UND_ERR_)[A-Z_]+)\)/.exec(details ?? "")?.[1];
  const words = (message ?? "no answer").slice(0, maxMessageCharacters);
  return cause === undefined ? words : `${words} (${cause})`;
}

function lasting(code: ErrorCode, message: string): Refusal {
  return { passing: false, error: new CodedError(code, message) };
}
