import { join } from "node:path";
import { readJson } from "./model-plan.ts";

/** What a model says it is: the pipeline of diffusers in `model_index.json`, else the class of transformers in `config.json`. */
export async function classNameOf(folder: string): Promise<string | null> {
  const index = await readJson(join(folder, "model_index.json"));
  if (index.kind === "read") return typeof index.value._class_name === "string" ? index.value._class_name : null;
  const config = await readJson(join(folder, "config.json"));
  const names = config.kind === "read" ? config.value.architectures : [];
  const name: unknown = Array.isArray(names) ? names[0] : null;
  return typeof name === "string" ? name : null;
}
