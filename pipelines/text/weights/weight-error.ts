/**
 * Why weights are not applied. `syntax`: they cannot be read, and the plain prompt is drawn in their place. `limit`: they
 * can, and ask for more than is allowed.
 */
export class WeightError extends Error {
  override readonly name = "WeightError";
  readonly kind: "syntax" | "limit";

  constructor(kind: "syntax" | "limit", message: string) {
    super(message);
    this.kind = kind;
  }
}

export const maxWeight = 2;

/** @throws WeightError of the kind `limit` */
export function checkWeight(weight: number, what: string): void {
  if (weight >= 0 && weight <= maxWeight) return;
  throw new WeightError(
    "limit",
    `the weight of ${what} is ${Number(weight.toPrecision(4))}; it must be 0 to ${maxWeight}`,
  );
}

const shownCharacters = 40;

/** A piece of a prompt in a message, in quotes and not long. */
export function quote(text: string): string {
  const letters = [...text];
  return letters.length <= shownCharacters ? `"${text}"` : `"${letters.slice(0, shownCharacters).join("")}…"`;
}
