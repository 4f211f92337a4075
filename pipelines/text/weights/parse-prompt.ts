import { findWeightGroups, toCompelSyntax } from "./brackets.ts";
import { type PromptNode, PromptReader } from "./prompt-reader.ts";
import { checkWeight, WeightError } from "./weight-error.ts";
import type { Fragments, PromptPart, WeightedFragment, WeightedPrompt } from "./weighted-prompt.ts";

/** Prompts that `.and()` or `.blend()` may join: each costs at least one run of both text encoders. */
const maxParts = 6;

const operator = /[ \t\n\r]*\.(and|add|blend)[ \t\n\r]*\(([^()]*)\)/y;
const anyOperator = /\)\s*\.(?:and|add|blend)\s*\(/;
const number = /^(?:[+-]?(?:\d+\.\d*|\.\d+)|-?\d+)$/;

/**
 * Reads a prompt in Compel's syntax or with `(term:1.3)`: `word++`, `(phrase)1.3`, `("one", "another").blend(0.7, 0.3)`,
 * `("one", "another").and()`. Takes time in proportion to its length.
 * @throws WeightError, and nothing else
 */
export function parsePrompt(prompt: string): WeightedPrompt {
  const compelText = toCompelSyntax(prompt, findWeightGroups(prompt));
  if (prompt.trim() === "") {
    return { parts: [{ kind: "prompt", fragments: [{ text: "", weight: 1 }], weight: 1 }], compelText };
  }
  // Compel itself sets a blank after every comma.
  const spaced = prompt.replace(/[\v\f]/g, " ").replace(/,(\S)/g, ", $1");
  const structured = readStructure(spaced);
  if (structured !== undefined) return { parts: structured, compelText };
  if (anyOperator.test(spaced)) {
    throw new WeightError(
      "syntax",
      '.and() and .blend() must make up the whole prompt: ("one prompt", "another prompt").blend(0.7, 0.3)',
    );
  }
  const fragments = flatten(new PromptReader(spaced).readPrompt());
  return { parts: [{ kind: "prompt", fragments, weight: 1 }], compelText };
}

function readStructure(text: string): PromptPart[] | undefined {
  const targets = new PromptReader(text).readTargets();
  if (targets === undefined) return undefined;
  operator.lastIndex = targets.end;
  const match = operator.exec(text);
  if (match === null) return undefined;
  const call = match[1] === "blend" ? ".blend()" : ".and()";
  if (text.slice(operator.lastIndex).trim() !== "") {
    throw new WeightError("syntax", `there is text after ${call}; move it into one of its prompts`);
  }
  return makeParts(call, targets.value, readOptions(call, match[2] ?? ""));
}

interface Options {
  readonly weights: readonly number[];
  readonly normalized: boolean;
}

function readOptions(call: ".and()" | ".blend()", written: string): Options {
  const options = written.trim() === "" ? [] : written.split(",").map((option) => option.trim());
  const isRaw = call === ".blend()" && options.at(-1) === "no_normalize";
  const weights = (isRaw ? options.slice(0, -1) : options).map((option) => {
    if (!number.test(option)) throw new WeightError("syntax", `"${option}" is not a weight of ${call}: write a number`);
    checkWeight(Number(option), `a prompt of ${call}`);
    return Number(option);
  });
  return { weights, normalized: !isRaw };
}

function makeParts(call: ".and()" | ".blend()", targets: readonly PromptNode[][], options: Options): PromptPart[] {
  if (targets.length > maxParts) {
    throw new WeightError("limit", `${call} joins ${targets.length} prompts; at most ${maxParts} are allowed`);
  }
  const { weights, normalized } = options;
  if (weights.length > 0 && weights.length !== targets.length) {
    throw new WeightError("syntax", `${call} has ${targets.length} prompts and ${weights.length} weights`);
  }
  const prompts = targets.map((nodes, index) => {
    const fragments = flatten(nodes);
    if (fragments.length === 0) throw new WeightError("syntax", `prompt ${index + 1} of ${call} is empty`);
    return { fragments, weight: weights[index] ?? 1 };
  });
  if (call === ".and()") return prompts.map((prompt) => ({ kind: "prompt", ...prompt }));
  if (normalized && prompts.every(({ weight }) => weight === 0)) {
    throw new WeightError("syntax", "the weights of .blend() are all 0; one must be more");
  }
  return [{ kind: "blend", prompts, normalized, weight: 1 }];
}

/** The nodes' texts in their order with their weights multiplied; neighbours of one weight become one, with a blank between. */
function flatten(nodes: readonly PromptNode[]): Fragments {
  const fragments: WeightedFragment[] = [];
  const add = (children: readonly PromptNode[], scale: number): void => {
    for (const node of children) {
      if ("children" in node) add(node.children, scale * node.weight);
      else {
        const text = node.text.replace(/\\([()"])/g, "$1");
        const last = fragments.at(-1);
        if (last?.weight === scale) fragments[fragments.length - 1] = { text: `${last.text} ${text}`, weight: scale };
        else fragments.push({ text, weight: scale });
      }
    }
  };
  add(nodes, 1);
  for (const { text, weight } of fragments)
    checkWeight(weight, `"${text.slice(0, 40)}", all brackets around it multiplied,`);
  return fragments;
}
