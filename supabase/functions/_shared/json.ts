/*
 * JSON as it was written. `JSON.parse` rounds what a double cannot hold: 9007199254740993 becomes …992, 1e400 Infinity,
 * which is null when it is written again. A seed that changes on its way draws another picture than the one reported.
 */

/** Texts that may have such a number; all others are parsed without looking at each value. */
const suspicious = /\d{16}|[eE]\+?\d{3}/;

/**
 * The value of a JSON text. A whole number that a double does not hold exactly, and any beyond its range, becomes the
 * text of its digits: no field for numbers takes it, its refusal shows what was sent, and elsewhere nothing is lost.
 * @throws SyntaxError
 */
export function parseExactJson(text: string): unknown {
  return suspicious.test(text) ? JSON.parse(text, exact) : JSON.parse(text);
}

/** What the engine says of a value beside it: of numbers and texts, how they were written. */
interface Written {
  readonly source?: string;
}

function exact(_key: string, value: unknown, written?: Written): unknown {
  return typeof value !== "number" || isExact(written?.source ?? String(value), value) ? value : written?.source;
}

/**
 * Whether the digits of a number, as somebody wrote them, are this number, or are what JavaScript writes for it (2^60 is
 * 1152921504606847000 there). Fractions may be rounded: all are.
 */
export function isExact(digits: string, value: number): boolean {
  if (!Number.isFinite(value)) return false;
  const isWhole = /^-?\d+$/.test(digits);
  return !isWhole || Number.isSafeInteger(value) || BigInt(digits) === BigInt(value) || digits === String(value);
}
