import { stat } from "node:fs/promises";
import { join } from "node:path";
import { PermanentError } from "#contract/errors.ts";
import type { WeightsFile } from "#contract/handler.ts";

/** Folder of LoRA files in the models folder: no model itself. */
export const lorasFolderName = "loras";

const extension = ".safetensors";
const safeName = /^[A-Za-z0-9][A-Za-z0-9._ ()+-]{0,199}$/;

/**
 * The LoRA file of this name, with or without its extension.
 * @throws PermanentError LORA_NOT_FOUND
 */
export async function findLora(modelsFolder: string, name: string): Promise<WeightsFile> {
  if (!safeName.test(name)) {
    throw notFound(
      `"${name}" is no LoRA's name: use letters, digits, spaces, '.', '_', '-', '+' and brackets, or a URL`,
    );
  }
  const base = name.endsWith(extension) ? name : name + extension;
  const file = join(modelsFolder, lorasFolderName, base);
  const entry = await stat(file).catch(() => null);
  if (entry === null || !entry.isFile()) {
    throw notFound(
      `the LoRA "${name}" is missing: there is no ${lorasFolderName}/${base} in the models folder; put it there, or give its https address`,
    );
  }
  return { file, version: `${file} ${entry.size} ${entry.mtimeMs}`, name };
}

function notFound(message: string): PermanentError {
  return new PermanentError(message, { code: "LORA_NOT_FOUND" });
}
