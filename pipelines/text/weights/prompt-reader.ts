import { findWeightGroups, type WeightGroup } from "./brackets.ts";
import { checkWeight, quote, WeightError } from "./weight-error.ts";

/*
 * Reads prompts as the grammar of Compel 2 does (`build_parser_syntax` of its prompt_parser.py), with `(term:1.3)` besides. Compel's is a
 * parsing expression grammar: the first alternative that fits is taken, and what fits none is a word of plain text. Results
 * by position are kept, so that trying alternatives costs no more than linear time.
 */

/** Text, or nodes with a weight that multiplies theirs. */
export type PromptNode =
  | { readonly text: string }
  | { readonly weight: number; readonly children: readonly PromptNode[] };

interface Match<Value> {
  readonly value: Value;
  readonly end: number;
}

type Rule<Value> = (position: number) => Match<Value> | undefined;

const plusBase = 1.1;
const minusBase = 0.9;

const blanks = /[ \t\n\r]*/y;
/** A word without any mark of the grammar; hyphens within words are none, and a backslash makes any mark a letter. */
const word = /(?:\\[()",.+\-=]|[+-](?![ \t\n\r()",.+\-=]|$)|\d+|[^\s()",.+\-=]|[^\S \t\n\r\v\f])+/y;
const freeWord = /[^ \t\n\r]+/y;
const quotedText = /"(?:\\"|[^"\n\r])*"/y;
const weightMark = /\++|-+|\d+\.\d*|\.\d+|\d+/y;
const plusOrMinus = /\++|-+/y;
const loraCall = /(?:useLora|withLora)[ \t\n\r]*\(/y;

export class PromptReader {
  readonly #text: string;
  readonly #groups: ReadonlyMap<number, WeightGroup>;

  /** @throws WeightError when its brackets are not in order */
  constructor(text: string) {
    this.#text = text;
    this.#groups = findWeightGroups(text);
  }

  /** The whole text as one prompt. @throws WeightError when something in it is not supported */
  readPrompt(): PromptNode[] {
    const nodes: PromptNode[] = [];
    // A word with terms in it is read in pieces.
    let wordEnd = 0;
    // Rules pass over blanks themselves, at each position anew: of many in a row only the first may be such a position.
    for (let position = this.#skip(0); position < this.#text.length; position = this.#skip(position)) {
      this.#refuseUnsupported(position);
      const match = this.#attention(position) ?? this.#quoted(position) ?? this.#bracketed(position);
      if (match !== undefined) {
        nodes.push(...match.value);
        position = match.end;
        continue;
      }
      if (position >= wordEnd) wordEnd = this.#match(freeWord, position) ?? position + 1;
      const stop = this.#firstGroupIn(position + 1, wordEnd);
      nodes.push({ text: this.#text.slice(position, stop) });
      position = stop;
    }
    return nodes;
  }

  /** The whole text as what may stand within brackets or quotes; undefined when it is not of that form. */
  readFragments(): PromptNode[] | undefined {
    const { value, end } = this.#fragments(0);
    return this.#skip(end) === this.#text.length ? value : undefined;
  }

  /** `("one prompt", "another")` from the beginning, as `.blend()` and `.and()` follow it. */
  readTargets(): Match<PromptNode[][]> | undefined {
    let position = this.#skip(0);
    if (this.#text[position] !== "(" || this.#groups.has(position)) return undefined;
    const targets: PromptNode[][] = [];
    do {
      const target = this.#target(position + 1) ?? this.#quotedPrompt(position + 1);
      if (target === undefined) return undefined;
      targets.push(target.value);
      position = this.#skip(target.end);
    } while (this.#text[position] === ",");
    return this.#text[position] === ")" ? { value: targets, end: position + 1 } : undefined;
  }

  readonly #attention: Rule<PromptNode[]> = remembered(
    (position) => this.#explicit(position) ?? this.#implicit(position),
  );

  readonly #quoted: Rule<PromptNode[]> = remembered((position) => {
    const found = this.#quotedText(position);
    if (found === undefined) return undefined;
    const value = found.value.trim() === "" ? [{ text: "" }] : new PromptReader(found.value).readFragments();
    return value && { value, end: found.end };
  });

  readonly #bracketed: Rule<PromptNode[]> = remembered((position) => {
    const open = this.#skip(position);
    const group = this.#groups.get(open);
    if (group !== undefined) return { value: [this.#readGroup(group)], end: group.close + 1 };
    if (this.#text[open] !== "(") return undefined;
    const { value, end } = this.#fragments(open + 1);
    const close = this.#skip(end);
    return this.#text[close] === ")" ? { value, end: close + 1 } : undefined;
  });

  /** What Compel would not take for the content of a bracket, such as a lone hyphen, is text. */
  #readGroup({ open, colon, weight }: WeightGroup): PromptNode {
    const inside = new PromptReader(this.#text.slice(open + 1, colon));
    return { weight, children: inside.readFragments() ?? inside.readPrompt() };
  }

  #fragments(position: number): Match<PromptNode[]> {
    const value: PromptNode[] = [];
    let end = position;
    for (let match = this.#fragment(end); match !== undefined; match = this.#fragment(end)) {
      value.push(...match.value);
      end = match.end;
    }
    return { value, end };
  }

  #fragment(position: number): Match<PromptNode[]> | undefined {
    this.#refuseUnsupported(position);
    const match = this.#attention(position) ?? this.#target(position);
    if (match !== undefined) return match;
    const start = this.#skip(position);
    const mark = this.#text[start];
    return mark === "," || mark === "." ? { value: [{ text: mark }], end: start + 1 } : undefined;
  }

  /** `(phrase).attend(1.3)` */
  #explicit(position: number): Match<PromptNode[]> | undefined {
    const target = this.#target(position);
    const call = target && this.#call(".attend", target.end);
    if (target === undefined || call === undefined) return undefined;
    const start = this.#skip(call);
    const end = this.#match(weightMark, start);
    if (end === undefined) return undefined;
    const close = this.#skip(end);
    if (this.#text[close] !== ")") return undefined;
    return { value: [this.#weighted(target, position, start, end)], end: close + 1 };
  }

  /** `(phrase)1.3`, `"phrase"++` or `word--`: the weight follows at once. */
  #implicit(position: number): Match<PromptNode[]> | undefined {
    const phrase = this.#quoted(position) ?? this.#bracketed(position);
    const target = phrase ?? this.#word(position);
    if (target === undefined) return undefined;
    const end = this.#match(phrase === undefined ? plusOrMinus : weightMark, target.end);
    return end === undefined ? undefined : { value: [this.#weighted(target, position, target.end, end)], end };
  }

  #weighted(target: Match<PromptNode[]>, from: number, start: number, end: number): PromptNode {
    const written = this.#text.slice(start, end);
    const weight = weightOf(written);
    const what = quote(this.#text.slice(this.#skip(from), target.end));
    checkWeight(weight, what);
    if (target.value.every((node) => "text" in node && node.text.trim() === "")) {
      throw new WeightError("syntax", `the weight "${written}" stands after ${what}, an empty term`);
    }
    return { weight, children: target.value };
  }

  #target(position: number): Match<PromptNode[]> | undefined {
    return this.#quoted(position) ?? this.#bracketed(position) ?? this.#word(position);
  }

  #word(position: number): Match<PromptNode[]> | undefined {
    const start = this.#skip(position);
    const end = this.#match(word, start);
    return end === undefined ? undefined : { value: [{ text: this.#text.slice(start, end) }], end };
  }

  /** Quotes around what is a prompt of its own, with words that could not stand within brackets. */
  #quotedPrompt(position: number): Match<PromptNode[]> | undefined {
    const found = this.#quotedText(position);
    return found && { value: new PromptReader(found.value).readPrompt(), end: found.end };
  }

  #quotedText(position: number): Match<string> | undefined {
    const start = this.#skip(position);
    const end = this.#match(quotedText, start);
    if (end === undefined) return undefined;
    return { value: this.#text.slice(start + 1, end - 1).replace(/\\[tnrf]/g, " "), end };
  }

  /** Compel has them for other pipelines; left in, they would be drawn as words. */
  #refuseUnsupported(position: number): void {
    const start = this.#skip(position);
    if (this.#match(loraCall, start) !== undefined) {
      throw new WeightError("syntax", "withLora() and useLora() in a prompt are not supported");
    }
    const target = this.#target(position);
    if (target !== undefined && this.#call(".swap", target.end) !== undefined) {
      throw new WeightError("syntax", ".swap() in a prompt is not supported");
    }
  }

  /** The end of `.name (`. */
  #call(name: string, position: number): number | undefined {
    const start = this.#skip(position);
    if (!this.#text.startsWith(name, start)) return undefined;
    const open = this.#skip(start + name.length);
    return this.#text[open] === "(" ? open + 1 : undefined;
  }

  /** Where a word ends: at `(term:1.3)`, though Compel would take other brackets in a word for letters. */
  #firstGroupIn(from: number, end: number): number {
    for (let position = from; position < end; position++) if (this.#groups.has(position)) return position;
    return end;
  }

  #skip(position: number): number {
    return this.#match(blanks, position) ?? position;
  }

  #match(pattern: RegExp, position: number): number | undefined {
    pattern.lastIndex = position;
    return pattern.test(this.#text) ? pattern.lastIndex : undefined;
  }
}

function weightOf(written: string): number {
  if (written.startsWith("+")) return plusBase ** written.length;
  if (written.startsWith("-")) return minusBase ** written.length;
  return Number(written);
}

function remembered<Value>(rule: Rule<Value>): Rule<Value> {
  const known = new Map<number, Match<Value> | undefined>();
  return (position) => {
    if (known.has(position)) return known.get(position);
    const match = rule(position);
    known.set(position, match);
    return match;
  };
}
