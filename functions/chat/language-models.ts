import { join } from "node:path";
import { CodedError } from "#contract/errors.ts";
import { classNameOf } from "#runtime/check/models/class-name.ts";
import { modelFolders } from "#runtime/check/models/inspect-models.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { findModel, readAliases } from "#runtime/executor/models.ts";

/** What the handler of chat uses when a request names no model. */
const usualModel = "chat";

type Container = Pick<Runtime, "config" | "registry">;

/**
 * Names of the folders that the handler of chat takes, the one that it uses by itself first.
 * @throws CodedError MODEL_NOT_FOUND, MODEL_INVALID when the models folder cannot be read
 */
export async function languageModels(container: Container): Promise<string[]> {
  const { modelsFolder } = container.config;
  const [folders, aliases] = await Promise.all([modelFolders(modelsFolder), readAliases(modelsFolder)]);
  const checked = await Promise.all(
    folders.map(async (name) => ((await isLanguageModel(join(modelsFolder, name), container)) ? [name] : [])),
  );
  const usual = aliases[usualModel] ?? usualModel;
  return checked.flat().toSorted((one, other) => Number(other === usual) - Number(one === usual));
}

/** @throws CodedError MODEL_NOT_FOUND with the names that there are */
export async function checkLanguageModel(name: string, container: Container): Promise<void> {
  const folder = await findModel(container.config.modelsFolder, name).catch((error: unknown) => {
    if (error instanceof CodedError && error.code === "MODEL_NOT_FOUND") return null;
    throw error;
  });
  if (folder !== null && (await isLanguageModel(folder.path, container))) return;
  const names = await languageModels(container);
  const known = names.length === 0 ? "there is none here" : `there are: ${names.join(", ")}`;
  throw new CodedError("MODEL_NOT_FOUND", `The language model ${JSON.stringify(name)} is not here; ${known}.`);
}

async function isLanguageModel(folder: string, { registry }: Container): Promise<boolean> {
  const className = await classNameOf(folder);
  return className !== null && registry.get("chat")?.modelCheck?.takes(className) === true;
}
