import { withoutMarkdown } from "./markdown.ts";
import { withoutTrailing } from "./trailing.ts";

/*
 * The answer of a language model as a prompt. Models wrap what was wanted: they think aloud, greet, label, quote, format,
 * explain, and begin a next turn. What they wrote about the picture stays as it is.
 */

export interface CleaningOptions {
  /** What was to be enhanced: an answer that repeats it first is freed of that. */
  readonly idea?: string;
  /** The generation ended at its token limit: a sentence that was begun is dropped. */
  readonly isCut?: boolean;
}

const thought = /<think(?:ing)?>[\s\S]*?(?:<\/think(?:ing)?>|$)/gi;
const thoughtEnd = /^[\s\S]*<\/think(?:ing)?>/i;
/** Tokens of templates: `<|im_end|>`, `<s>`, `[INST]`. What follows one is no part of the answer. */
const templateToken = /<\|[a-z_]{2,30}\|>|<\/?s>|\[\/?INST\]|<(?:start|end)_of_turn>/i;
/** Left over from the template where the answer begins. */
const templateBegin = new RegExp(`^(?:\\s*(?:${templateToken.source})(?:\\s*(?:assistant|model)\\b)?\\s*)+`, "i");
/** Where a model without a template goes on with a next case. */
const nextTurn =
  /\n+\s*(?:#+\s*)?(?:\*\*)?(?:user|human|idea|question|input|assistant|system|original(?: prompt)?|negative prompt|example \d+)(?:\*\*)?\s*:/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const invisible = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F\u00AD\u200B\u200E\u200F\u2060\uFEFF]/g;

const kinds =
  "original|enhanced|improved|expanded|extended|final|new|rewritten|detailed|revised|full|fuller|better|optimi[sz]ed|image|video|picture|positive|generated|your|the|a|an|sdxl|wan|stable diffusion|text-to-image|text-to-video|descriptive|refined|polished|updated";
const label = new RegExp(
  `^(?:(?:${kinds})[ -])*(?:prompt|description|version|output|result|answer|response|caption|idea)(?: \\d+)?(?: ?\\([^)\\n]{0,60}\\))?\\s*(?::|：| [–—-] |\\n)\\s*`,
  "i",
);
const greeting =
  /^(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|alright|great|got it|yes|here(?:'s|’s| is| are| you go)|i(?:'ve|’ve| have) (?:created|written|enhanced|expanded)|this is|below is)\b[^:\n.!]{0,160}(?:[:：]|\n|[.!](?=\s))\s*/i;
/** Speaks about the answer, in a paragraph of its own or behind a quoted prompt. */
const remark =
  /^(?:\(?note\b|explanation\b|this (?:\w+ ){0,2}(?:prompt|version|description)\b|the (?:enhanced |new )?prompt\b|i (?:hope|added|have added|kept|chose)\b|i(?:'ve|’ve) \b|let me know\b|feel free\b|would you like\b|negative prompt\b|you can\b|if you\b|changes made\b|key (?:elements|changes)\b|hope this\b|word count\b|style\s*:\s*$)/i;
const negativePart = /\bnegative prompt\b|\s--(?:no|ar|v|neg)\b/i;

const quotePairs: readonly (readonly [string, string])[] = [
  ['"', '"'],
  ["“", "”"],
  ["„", "“"],
  ["«", "»"],
  ["‘", "’"],
  ["'", "'"],
  ["`", "`"],
];

const maxRounds = 8;

/**
 * The prompt in a language model's answer: one line without quotes, labels, markdown, thoughts and remarks. Empty when there
 * is none. Cleaning twice is cleaning once.
 */
export function cleanEnhancement(answer: string, options: CleaningOptions = {}): string {
  const idea = normalized(options.idea ?? "");
  let text = unwrapped(proper(answer), idea);
  if (options.isCut) text = unwrapped(withoutHalfSentence(text), idea);
  return /[\p{L}\p{N}]/u.test(text) ? text : "";
}

/** As one line; what was wrapped may itself be wrapped. */
function unwrapped(answer: string, idea: string): string {
  let text = answer;
  for (let round = 0, before = ""; before !== text && round < maxRounds; round += 1) {
    before = text;
    for (let layer = 0, outer = ""; outer !== text && layer < maxRounds; layer += 1) {
      outer = text;
      text = cleanedOnce(text, idea);
    }
    text = oneLine(text);
  }
  return text;
}

function cleanedOnce(answer: string, idea: string): string {
  const text = withoutOpening(withoutRemarks(withoutMarkdown(answer)));
  return trimmed(withoutQuotes(withoutEcho(text, idea)));
}

/** Whether an enhancement is one: there is text, and it says something else than the idea. */
export function isEnhanced(idea: string, enhanced: string): boolean {
  const text = normalized(enhanced);
  return text !== "" && text !== normalized(idea);
}

/** For comparing: without case, punctuation at the ends and doubled white space. */
function normalized(text: string): string {
  const plain = text.normalize("NFKC").toLowerCase().replace(/\s+/gu, " ");
  return plain.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
}

/** Without what belongs to the model's format: thoughts, tokens of templates, a next turn. */
function proper(answer: string): string {
  const lines = answer
    .replace(/\r\n?|[\u2028\u2029]/g, "\n")
    .replace(invisible, "")
    .replace(/[^\S\n]+/g, " ")
    .replace(/\n[\s]*\n/g, "\n\n");
  const spoken = lines.replace(thought, "\n").replace(thoughtEnd, "").replace(templateBegin, "").trim();
  const own = spoken.slice(0, found(spoken, templateToken)).trim();
  const turn = found(own, nextTurn);
  return (turn === 0 ? own : own.slice(0, turn)).trim();
}

/** Where the pattern is, or the text's end. */
function found(text: string, pattern: RegExp): number {
  const at = text.search(pattern);
  return at < 0 ? text.length : at;
}

/** Without greetings and labels. An answer that is nothing else has no prompt. */
function withoutOpening(text: string): string {
  let rest = text;
  for (let before = ""; before !== rest; ) {
    before = rest;
    rest = rest.replace(greeting, "").replace(label, "").trimStart();
  }
  return rest;
}

/** Without paragraphs that speak about the prompt, and without what the picture is not to show. */
function withoutRemarks(text: string): string {
  const paragraphs = text.split(/\n\s*\n|\n(?=\s*\(?note\b)/i);
  const first = paragraphs.findIndex((paragraph, index) => index > 0 && remark.test(paragraph.trim()));
  const kept = first < 0 ? paragraphs : paragraphs.slice(0, first);
  const joined = kept.join("\n\n");
  const end = found(joined, negativePart);
  // A full stop before it only sets it apart.
  return end < joined.length ? withoutTrailing(joined.slice(0, end).trimEnd().replace(/\.$/, "")) : joined.trim();
}

/** Without the idea where the answer repeats it in a line of its own, or before an arrow. */
function withoutEcho(text: string, idea: string): string {
  if (idea === "") return text;
  const [line = ""] = text.split("\n", 1);
  const arrow = /->|=>|→|⇒/.exec(line);
  const end = arrow === null ? line.length : arrow.index;
  const rest = text.slice(end + (arrow?.[0].length ?? 0)).trim();
  return rest !== "" && normalized(line.slice(0, end)) === idea ? rest : text;
}

/** Of a text in quotes what is in them; also where a remark follows the closing one. */
function withoutQuotes(text: string): string {
  for (const [open, close] of quotePairs) {
    if (!text.startsWith(open)) continue;
    const end = closingQuote(text, open, close);
    if (end < 0) continue;
    const inner = text.slice(open.length, end).trim();
    const rest = text.slice(end + close.length).trim();
    if (/^[.,;!]?$/.test(rest) || (remark.test(rest) && inner.includes(" "))) return inner;
  }
  return text;
}

/** Where the quote ends that begins the text; apostrophes within words do not end one. */
function closingQuote(text: string, open: string, close: string): number {
  for (let at = text.indexOf(close, open.length); at >= 0; at = text.indexOf(close, at + 1)) {
    if (!/^[\p{L}\p{N}]/u.test(text.slice(at + close.length))) return at;
  }
  return -1;
}

function oneLine(text: string): string {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line, index, all) => (index < all.length - 1 && !/[.,;:!?…]$/.test(line) ? `${line},` : line))
    .join(" ")
    .replace(/\s+/gu, " ")
    .trim();
}

/** Up to the last sentence that is whole, or else the last clause, or else the last word that can end a prompt. */
function withoutHalfSentence(text: string): string {
  if (/[.!?…]["”’)]?$/.test(text)) return text;
  const sentence = Math.max(...[". ", "! ", "? "].map((end) => text.lastIndexOf(end)));
  const clause = Math.max(text.lastIndexOf(", "), text.lastIndexOf("; "));
  if (sentence >= text.length / 2 || (sentence > 0 && clause < sentence)) return text.slice(0, sentence + 1);
  return clause > 0 ? trimmed(text.slice(0, clause)) : withoutLastWords(text);
}

/** Words that cannot end a prompt. */
const dangling = new Set("and or with in on of the a an by to at from for its as while".split(" "));

function withoutLastWords(text: string): string {
  const words = text.split(" ");
  const last = words.findLastIndex((word) => !dangling.has(word.toLowerCase()));
  return last < 0 ? text : trimmed(words.slice(0, last + 1).join(" "));
}

/** Without white space and the marks between clauses at both ends, and a full stop at the beginning. */
function trimmed(text: string): string {
  return withoutTrailing(text.replace(/^[\s,;:.–—-]+/, ""));
}
