/** Furthest that a name may be from what was typed to be worth naming. */
const furthest = 3;

/** The name that is nearest to what was typed; undefined when none is near. */
export function nearestName(typed: string, names: readonly string[], max = furthest): string | undefined {
  const limit = Math.min(max, Math.floor(typed.length / 2));
  const compared = typed.slice(0, 100);
  const { length } = [...compared];
  const nearest = names
    // Each character more or less is an edit.
    .filter((name) => Math.abs(name.length - length) <= limit)
    .map((name) => ({ name, distance: editDistance(compared, name) }))
    .toSorted((left, right) => left.distance - right.distance)[0];
  return nearest === undefined || nearest.distance > limit ? undefined : nearest.name;
}

/** Levenshtein distance: the fewest insertions, deletions and replacements that make one text of the other. */
export function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (const [i, character] of [...left].entries()) {
    const next = [i + 1];
    for (let j = 1; j <= right.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (character === right[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? left.length;
}
