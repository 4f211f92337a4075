import { cpSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = (name: string) => fileURLToPath(new URL(`../wan/fixtures/${name}/`, import.meta.url));

/** Small WANs with random weights: they draw noise, and have every joint of the real ones. */
export const randomWans = {
  /** WAN 2.1: one transformer. */
  "random-wan": folder("random-wan"),
  /** WAN 2.2: two transformers. */
  "random-wan-2": folder("random-wan-2"),
  /** Other patches, channels and scales. */
  "random-wan-other": folder("random-wan-other"),
} as const;

/** A copy in a temporary folder, for a test to change; the test removes it. */
export function copyRandomWan(name: keyof typeof randomWans = "random-wan"): string {
  const copy = mkdtempSync(join(tmpdir(), `${name}-`));
  cpSync(randomWans[name], copy, { recursive: true });
  return copy;
}
