/*
 * Texts that JSON may have and PostgreSQL's JSON may not: with the character NUL, or with half of a surrogate pair. What
 * a user sends is refused for them; what a container says of a job is kept without them, since nobody can say it again.
 */

/** Whether the database can keep all texts and names of a JSON value. */
export function isStorable(root: unknown): boolean {
  const stack = [root];
  while (stack.length > 0) {
    const value = stack.pop();
    if (typeof value === "string" && storableText(value) !== value) return false;
    if (typeof value !== "object" || value === null) continue;
    for (const [name, child] of Object.entries(value)) stack.push(name, child);
  }
  return true;
}

/** A copy of a JSON value in which every such character is the replacement character. */
export function storable(value: unknown): unknown {
  if (typeof value === "string") return storableText(value);
  if (Array.isArray(value)) return value.map(storable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [storableText(name), storable(child)]));
}

/** A copy of a text in which every such character is the replacement character. */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\ufffd");
}
