const exactDecimal = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;

/**
 * Producers are JavaScript and send numbers. A string is taken for a number only when it is a plain decimal that a
 * double holds exactly as written, at most 15 significant digits: "25" and "7.5", not "1e3", " 25", "0x10" or "".
 */
export function fromDecimal(value: unknown): unknown {
  if (typeof value !== "string") return value ?? undefined;
  const digits = value.replace(/[-.]/g, "");
  return digits.length <= 15 && exactDecimal.test(value) ? Number(value) : value;
}

/** A number, or a text of one; NaN for anything else: `Number` would make one of a list, and fails for some objects. */
export function looseNumber(value: unknown): number {
  return typeof value === "number" || typeof value === "string" ? Number(value) : Number.NaN;
}
