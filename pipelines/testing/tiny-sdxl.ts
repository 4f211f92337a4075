import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A small SDXL with random weights: it draws noise, and has every joint of the real one. */
export const tinySdxl = fileURLToPath(new URL("../sdxl/fixtures/random-sdxl/", import.meta.url));

/** The trained model that ships with the project. */
export const shippedSdxl = fileURLToPath(new URL("../../models/tiny-sdxl/", import.meta.url));

/** A copy of it in a temporary folder, for a test to change; the test removes it. */
export function copyTinySdxl(): string {
  const folder = mkdtempSync(join(tmpdir(), "tiny-sdxl-"));
  cpSync(tinySdxl, folder, { recursive: true });
  return folder;
}

/** Changes keys of a JSON file. */
export function patchJson(path: string, changes: Readonly<Record<string, unknown>>): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...changes }));
}
