import { inputMimeTypes } from "#contract/handler.ts";

/** What files a job may name: pictures and videos, or weights (LoRA). */
export const inputKinds = ["media", "weights"] as const;
export type InputKind = (typeof inputKinds)[number];

export const safetensorsMimeType = "application/vnd.safetensors";
export const fetchedMimeTypes = [...inputMimeTypes, safetensorsMimeType] as const;
export type FetchedMimeType = (typeof fetchedMimeTypes)[number];

/** Of a stored or fetched file, without the dot. */
export const extensionOf: Readonly<Record<FetchedMimeType, string>> = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/webp": "webp",
  "image/gif": "gif",
  "video/mp4": "mp4",
  "video/quicktime": "mov",
  "video/webm": "webm",
  "application/vnd.safetensors": "safetensors",
};

/** What a reference file may cost. */
export interface InputLimits {
  readonly kind: InputKind;
  readonly sizeBytes: number;
  /** From the first look-up to the last byte, redirects included. */
  readonly totalMs: number;
  /** Between two signs of life of a server. */
  readonly silenceMs: number;
  readonly redirects: number;
}

export const inputLimits: InputLimits = {
  kind: "media",
  sizeBytes: 50 * 1024 * 1024,
  totalMs: 30_000,
  silenceMs: 10_000,
  redirects: 3,
};

/** Weights are larger than pictures, and come from slower places. */
export function weightLimits(sizeBytes: number): InputLimits {
  return { kind: "weights", sizeBytes, totalMs: 1_800_000, silenceMs: 30_000, redirects: 3 };
}
