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

/** Image-to-video models: the random WAN whose other parts each shares, and whether it has an image encoder. */
const imageWans = {
  i2v: { base: "random-wan", hasEncoder: true },
  /** For a first and a last frame. */
  flf2v: { base: "random-wan", hasEncoder: true },
  /** As WAN 2.2's: two transformers, no image encoder. */
  "i2v-2": { base: "random-wan", hasEncoder: false },
  "i2v-other": { base: "random-wan-other", hasEncoder: true },
  /** As WAN 2.2's TI2V-5B: a timestep for every token, and a VAE of its own. */
  ti2v: { base: "random-wan", hasEncoder: false },
} as const;

export type ImageWan = keyof typeof imageWans;

/** An image-to-video model, put together in a temporary folder; the test removes it. */
export function copyImageWan(name: ImageWan): string {
  const { base, hasEncoder } = imageWans[name];
  const copy = copyRandomWan(base);
  for (const part of hasEncoder ? [name, "image"] : [name]) cpSync(folder(`i2v/${part}`), copy, { recursive: true });
  return copy;
}
