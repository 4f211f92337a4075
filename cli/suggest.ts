import { nearestName } from "#contract/near-names.ts";

/** `Did you mean "sdxl_image_fast"?` for the name that is nearest to what was typed; empty when none is near. */
export function didYouMean(typed: string, names: readonly string[]): string {
  const nearest = nearestName(typed, names);
  return nearest === undefined ? "" : `Did you mean "${nearest}"?`;
}
