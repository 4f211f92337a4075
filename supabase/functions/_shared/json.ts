import { endOfText } from "./json-limits.ts";

/*
 * JSON as it was written. `JSON.parse` rounds what a double cannot hold: 9007199254740993 becomes …992, 1e400 Infinity,
 * which is null when it is written again. A seed that changes on its way draws another picture than the one reported.
 */

/** Texts that may have such a number; all others are parsed as they are. */
const suspicious = /\d{16}|[eE]\+?\d{3}/;

/**
 * Whole numbers of 16 digits and more, and numbers with a large exponent, where a value ends after them. Found by a scan and
 * not by a reviver of `JSON.parse`, which takes a hundred times as long on a body of many values.
 */
const inexactNumber = /(?<![\w.+-])-?(?:[1-9]\d{15,}|(?:0|[1-9]\d*)(?:\.\d+)?[eE]\+?\d{3,})(?=\s*(?:[,\]}]|$))/g;

/**
 * The value of a JSON text. A whole number that a double does not hold exactly, and any beyond its range, becomes the
 * text of its digits: no field for numbers takes it, its refusal shows what was sent, and elsewhere nothing is lost.
 * @throws SyntaxError
 */
export function parseExactJson(text: string): unknown {
  return JSON.parse(suspicious.test(text) ? withTexts(text) : text);
}

/** The same JSON with every such number between quotes; what is inside of texts stays as it is. */
function withTexts(json: string): string {
  const parts: string[] = [];
  for (let at = 0; at < json.length; ) {
    const open = json.indexOf('"', at);
    const end = open === -1 ? json.length : open;
    const between = json.slice(at, end);
    parts.push(between.length < "1e400".length ? between : between.replace(inexactNumber, quotedUnlessExact));
    at = open === -1 ? end : endOfText(json, open);
    parts.push(json.slice(end, at));
  }
  return parts.join("");
}

function quotedUnlessExact(digits: string): string {
  return isExact(digits, Number(digits)) ? digits : `"${digits}"`;
}

/**
 * Whether the digits of a number, as somebody wrote them, are this number, or are what JavaScript writes for it (2^60 is
 * 1152921504606847000 there). Fractions may be rounded: all are.
 */
export function isExact(digits: string, value: number): boolean {
  if (!Number.isFinite(value)) return false;
  if (Number.isSafeInteger(value) || !/^-?\d+$/.test(digits) || digits === String(value)) return true;
  // All digits, which `toFixed` has below 1e21 only.
  return Math.abs(value) < 1e21 ? digits === value.toFixed(0) : BigInt(digits) === BigInt(value);
}

/** Whether a copy or a merge of this JSON value could change a prototype. The caller has seen to its depth. */
export function hasPrototypeKey(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.hasOwn(value, "__proto__") || Object.values(value).some(hasPrototypeKey);
}
