/*
 * What Node's own reader of `.env` files passes over without a word, or takes in another way than it looks. It reads
 *
 *   NAME=value          to the end of the line, but for a comment
 *   NAME="value"        to the closing quote, over several lines if need be; ' and ` are quotes, too
 *
 * and skips a line without "=". A quote that is never closed is part of a value that ends with its line.
 */

/** Something is wrong with a line; the sentence repeats no value, which may be a secret. */
export interface EnvProblem {
  /** Counted from 1. */
  readonly line: number;
  readonly problem: string;
}

const name = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** @param text of the file */
export function envProblems(text: string): EnvProblem[] {
  const problems: EnvProblem[] = [];
  const lines = text.split("\n");
  for (let index = 0; index < lines.length; ) {
    const { problem, taken } = readLine(lines, index);
    if (problem !== null) problems.push({ line: index + 1, problem });
    index += taken;
  }
  return problems;
}

/** `taken`: lines, as a value may go on over several. */
function readLine(lines: readonly string[], index: number): { problem: string | null; taken: number } {
  const line = (lines[index] ?? "").trim();
  if (line === "" || line.startsWith("#")) return { problem: null, taken: 1 };
  const equals = line.indexOf("=");
  if (equals < 0) return { problem: "is left out: it is no assignment (NAME=value)", taken: 1 };
  const variable = line
    .slice(0, equals)
    .replace(/^export\s+/, "")
    .trim();
  if (!name.test(variable))
    return { problem: "has no name of a variable before the =: letters, digits and _, such as DATA_DIR", taken: 1 };
  const value = line.slice(equals + 1).trim();
  const quote = /^["'`]/.exec(value)?.[0];
  if (quote === undefined) return { problem: null, taken: 1 };
  const rest = [value.slice(1), ...lines.slice(index + 1)];
  const last = rest.findIndex((each) => each.includes(quote));
  if (last < 0)
    return { problem: `does not close the quote of ${variable}, which is then part of the value`, taken: 1 };
  const after = (rest[last] ?? "").slice((rest[last] ?? "").indexOf(quote) + 1).trim();
  const isClean = after === "" || after.startsWith("#");
  const where = last === 0 ? "" : ` (in line ${index + last + 1})`;
  return {
    problem: isClean ? null : `has text behind the closing quote of ${variable}${where}, which is left out`,
    taken: last + 1,
  };
}
