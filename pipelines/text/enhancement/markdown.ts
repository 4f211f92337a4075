/*
 * Markdown in a language model's answer as plain text. A prompt may itself have brackets, stars and underscores
 * (`(sky:1.2)`, `snake_case`): only what is written as markdown goes.
 */

const fence = /^\s*(?:```|~~~)[\w-]*[ \t]*\n?([\s\S]*?)(?:\n?[ \t]*(?:```|~~~)|$)/m;
const bullet = /^\s{0,8}(?:(?:[-*+•‣▪]|\d{1,2}[.)])\s+)+/;
const attribute = /^[A-Z][\p{L} /&-]{1,28}:\s+(?=\S)/u;

/** Without fences, headings, rules, emphasis, links and list marks. A list of alternatives is its first one. */
export function withoutMarkdown(text: string): string {
  const fenced = fence.exec(text)?.[1]?.trim();
  const lines = (fenced === undefined || fenced === "" ? text : fenced).split("\n").filter((line) => !isRule(line));
  return withoutLists(lines.map(withoutBlockMarks)).map(withoutInlineMarks).join("\n").trim();
}

function isRule(line: string): boolean {
  return /^\s*(?:[-*_=]\s*){3,}$/.test(line) || /^\s*(?:```|~~~)/.test(line);
}

function withoutBlockMarks(line: string): string {
  return line.replace(/^\s{0,3}(?:>\s?)+/, "").replace(/^\s{0,3}#{1,6}\s+/, "");
}

function withoutInlineMarks(line: string): string {
  return line
    .replace(/!?\[([^\]\n]{1,300})\]\((?:https?:|\/|#)[^)\s]*\)/g, "$1")
    .replace(/(\*\*\*|\*\*|\*)(?=\S)([^*\n]*?\S)\1/g, "$2")
    .replace(/(?<![\p{L}\p{N}_])(__|_)(?=\S)([^_\n]*?\S)\1(?![\p{L}\p{N}_])/gu, "$2")
    .replace(/`{3,}|~{3,}/g, " ")
    .replace(/`([^`\n]+)`/g, "$1")
    .replace(/<\/?(?:b|i|em|strong|p|br|code)\s*\/?>/gi, " ");
}

/** Of numbered sentences the first, since each is a prompt of its own; other lists become one line. */
function withoutLists(lines: readonly string[]): string[] {
  const items = lines.filter((line) => bullet.test(line));
  if (items.length === 0) return [...lines];
  const bare = items.map((line) => line.replace(bullet, ""));
  const [only = ""] = bare;
  const before = lines.slice(
    0,
    lines.findIndex((line) => bullet.test(line)),
  );
  if (bare.length > 1 && /^\s*\d/.test(items[0] ?? "") && bare.every((item) => item.split(/\s+/).length >= 8)) {
    return [...before, only];
  }
  const joined = bare.map((item) => unlabelled(item).replace(/[.,;]\s*$/, "")).join(", ");
  const last = lines.findLastIndex((line) => bullet.test(line));
  return [...before, joined, ...lines.slice(last + 1)];
}

/** "**Lighting:** golden hour" in a list is "golden hour". */
function unlabelled(item: string): string {
  return withoutInlineMarks(item).replace(attribute, "");
}
