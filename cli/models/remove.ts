import { CodedError } from "#contract/errors.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { filesIn } from "#runtime/lib/folder-files.ts";
import { canAsk, confirm } from "../confirm.ts";
import { exitCodes, usageError } from "../errors.ts";
import { note, printResult } from "../output.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { workersWith } from "./container-use.ts";
import { namedModel } from "./find-model.ts";
import { removeFolder } from "./removed-folders.ts";

export interface RemoveOptions extends GlobalOptions {
  readonly yes?: boolean;
}

/** The body of `ourvidz models remove`. */
export async function remove(name: string, options: RemoveOptions): Promise<number> {
  const config = await readSettings(options, { serves: false });
  const model = await namedModel(config, name);
  if (model.alias !== null)
    throw usageError(
      `"${name}" stands for "${model.name}" in aliases.json: remove that folder by its own name, or change the alias.`,
    );
  const sizeBytes = (await filesIn(model.path)).reduce((sum, file) => sum + (file.sizeBytes ?? 0), 0);
  if (options.yes !== true) {
    const workers = await workersWith(config, model.name, sizeBytes);
    if (workers.length > 0)
      throw new CodedError(
        "NOT_READY",
        `A container at port ${config.http.port} has ${model.name} in memory (${workers.join(", ")}): stop it first, or add --yes. It withdraws the model within seconds; a job that runs goes on.`,
      );
    if (!canAsk(options)) throw usageError(`This deletes ${model.path}: add --yes (nobody can be asked here).`);
    const names = model.aliases.length === 0 ? "" : ` (also called ${model.aliases.join(", ")})`;
    if (!(await confirm(`Delete ${model.path}${names}, ${bytes(sizeBytes)}?`))) {
      note("Nothing was deleted.");
      return exitCodes.failed;
    }
  }
  await removeFolder(config.modelsFolder, model.path);
  printResult(
    options,
    { name: model.name, folder: model.path, size_bytes: sizeBytes, aliases: model.aliases },
    `deleted ${model.path}, ${bytes(sizeBytes)}`,
  );
  if (!options.json && model.aliases.length > 0)
    note(`aliases.json still has it under ${model.aliases.join(", ")}: those names lead to nothing now.`);
  return exitCodes.completed;
}
