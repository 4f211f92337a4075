import { checkWeight, quote, WeightError } from "./weight-error.ts";

/** A bracket with its weight inside, `(term:1.3)`: positions of its marks in the text. */
export interface WeightGroup {
  readonly open: number;
  readonly colon: number;
  readonly close: number;
  readonly weight: number;
}

/** Nesting beyond this is a slip or an attack, and each level costs a level of recursion. */
const maxDepth = 24;

const number = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$/;
/** What other programs write for numbers, and what nobody means as text. */
const noNumber = /^(?:nan|[+-]?inf(?:inity)?|[+-]?(?:\d+(?:\.\d*)?|\.\d+)e[+-]?\d+|)$/i;
/** Half of the world writes 1,3 for 1.3. */
const decimalComma = /^[+-]?\d*,\d+$/;
const anotherWeight = /^(?:[+\-\d]|\.\d)/;

/**
 * Finds the brackets with a weight inside, in the order of their closing.
 * @returns by position of the opening bracket
 * @throws WeightError when brackets are not paired, nested too deeply, or have a weight that is none
 */
export function findWeightGroups(text: string): ReadonlyMap<number, WeightGroup> {
  const groups = new Map<number, WeightGroup>();
  const opened: { readonly open: number; colon: number }[] = [];
  for (let position = 0; position < text.length; position++) {
    switch (text[position]) {
      case "\\":
        position++;
        break;
      case "(":
        opened.push({ open: position, colon: -1 });
        if (opened.length > maxDepth) {
          throw new WeightError(
            "syntax",
            `brackets are nested more than ${maxDepth} deep at character ${position + 1}`,
          );
        }
        break;
      case ":": {
        const innermost = opened.at(-1);
        if (innermost !== undefined) innermost.colon = position;
        break;
      }
      case ")": {
        const bracket = opened.pop();
        if (bracket === undefined) {
          throw new WeightError(
            "syntax",
            `the bracket ")" at character ${position + 1} was never opened (write \\) for the sign itself)`,
          );
        }
        if (bracket.colon >= 0) addGroup(groups, text, { ...bracket, close: position });
      }
    }
  }
  const unclosed = opened.at(-1);
  if (unclosed === undefined) return groups;
  throw new WeightError(
    "syntax",
    `the bracket "(" at character ${unclosed.open + 1} is not closed (write \\( for the sign itself)`,
  );
}

function addGroup(groups: Map<number, WeightGroup>, text: string, marks: Omit<WeightGroup, "weight">): void {
  const { open, colon, close } = marks;
  const written = text.slice(colon + 1, close).trim();
  const whole = quote(text.slice(open, close + 1));
  if (!number.test(written)) {
    if (decimalComma.test(written)) {
      throw new WeightError("syntax", `${whole} has a comma in its weight; write (term:${written.replace(",", ".")})`);
    }
    // A colon in plain text: "(morning: fog)".
    if (!noNumber.test(written)) return;
    throw new WeightError("syntax", `${whole} has no number after the colon; write (term:1.3)`);
  }
  if (text.slice(open + 1, colon).trim() === "") throw new WeightError("syntax", `${whole} weights an empty term`);
  if (anotherWeight.test(text.slice(close + 1, close + 3))) throw new WeightError("syntax", `${whole} has two weights`);
  const weight = Number(written);
  checkWeight(weight, whole);
  groups.set(open, { ...marks, weight });
}

/**
 * The text with `(term:1.3)` written as Compel does: `(term)1.3`.
 * @param groups of the same text
 */
export function toCompelSyntax(text: string, groups: ReadonlyMap<number, WeightGroup>): string {
  const replaced = new Map<number, { readonly to: number; readonly by: string }>();
  for (const { open, colon, close, weight } of groups.values()) {
    // Compel takes what stands against the bracket or the number for a part of it.
    if (/[^\s("]/.test(text[open - 1] ?? " ")) replaced.set(open, { to: open + 1, by: " (" });
    const isFollowed = /[^\s,)"]/.test(text[close + 1] ?? " ");
    replaced.set(colon, { to: close + 1, by: `)${decimal(weight)}${isFollowed ? " " : ""}` });
  }
  let result = "";
  let from = 0;
  for (const [position, { to, by }] of [...replaced].sort(([a], [b]) => a - b)) {
    result += text.slice(from, position) + by;
    from = to;
  }
  return result + text.slice(from);
}

/** Never in scientific notation, which Compel does not read. */
function decimal(weight: number): string {
  const text = String(weight);
  return text.includes("e") ? weight.toFixed(20) : text;
}
