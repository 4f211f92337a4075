const separators = new Set(",;:–—-");

/** Without white space and the marks between clauses at its end. By hand: a pattern would try each run of them. */
export function withoutTrailing(text: string): string {
  let end = text.length;
  while (end > 0 && (separators.has(text.charAt(end - 1)) || text.charAt(end - 1).trim() === "")) end -= 1;
  return text.slice(0, end);
}
