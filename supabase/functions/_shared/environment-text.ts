/*
 * Values of the environment that are not what somebody meant: files of secrets end in a line break, `docker --env-file` and
 * dashboards keep quotes. What is taken so works here and fails at the other end, with nothing to be seen in the message.
 */

/** What is wrong with how a value is written, without repeating it; null when nothing is. */
export function writingProblem(value: string): string | null {
  if (/[\r\n]$/.test(value)) return "ends in a line break: leave it out (printf %s writes none)";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(value)) return "has a line break, a tab or another control character in it";
  if (value !== value.trim()) return "begins or ends with white space: leave it out";
  if (/^(["'`]).*\1$/.test(value)) return "is in quotes, which would be a part of it: leave them out";
  return null;
}

/** The same of a secret that travels in a header. */
export function keyProblem(value: string): string | null {
  const problem = writingProblem(value);
  if (problem !== null) return problem;
  return /^[!-~]+$/.test(value) ? null : "must be visible ASCII characters without spaces: it travels in a header";
}
