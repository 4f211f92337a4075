import { inspectModels, type ModelReport } from "#runtime/check/models/inspect-models.ts";
import { type NeededModel, neededModels } from "#runtime/check/models/needed-models.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { exitCodes } from "../errors.ts";
import { note, printResult } from "../output.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { table } from "../table.ts";
import { removeLeftFolders } from "./removed-folders.ts";

/** The body of `ourvidz models`: 1 when a model cannot be loaded, or an alias leads to none. */
export async function models(options: GlobalOptions): Promise<number> {
  const { modelsFolder, handlersFolder, engines } = await readSettings(options, { serves: false });
  // To look needs no right to write.
  await removeLeftFolders(modelsFolder).catch(() => undefined);
  const registry = await loadHandlers(handlersFolder);
  const needed = await neededModels(registry, { modelsFolder, engines });
  const reports = await inspectModels(modelsFolder, registry);
  const missing = needed.filter((model) => model.problem !== null);
  printResult(
    options,
    {
      folder: modelsFolder,
      models: reports.map((report) => ({
        name: report.name,
        aliases: report.aliases,
        size_bytes: report.sizeBytes,
        components: report.components,
        needed_by: neededBy(report, needed),
        problems: report.problems,
        warnings: report.warnings,
      })),
      missing: missing.map(({ model, neededBy: types, problem }) => ({ model, needed_by: types, problem })),
    },
    modelTable(reports, needed),
  );
  if (!options.json) {
    for (const { problems, warnings } of reports) for (const sentence of [...problems, ...warnings]) note(sentence);
    for (const { problem, neededBy: types } of missing) note(`${problem} Needed by: ${types.join(", ")}.`);
  }
  const isFit =
    missing.every(({ folder }) => folder === null) && reports.every(({ problems }) => problems.length === 0);
  return isFit ? exitCodes.completed : exitCodes.failed;
}

function modelTable(reports: readonly ModelReport[], needed: readonly NeededModel[]): string {
  return table(reports, [
    { title: "MODEL", value: (report) => report.name },
    { title: "ALIAS", value: (report) => report.aliases.join(", ") || "-" },
    { title: "SIZE", value: (report) => bytes(report.sizeBytes) },
    { title: "STATUS", value: statusOf, status: true },
    { title: "COMPONENTS", value: (report) => report.components.join(", ") || "-" },
    { title: "NEEDED BY", value: (report) => neededBy(report, needed).join(", ") || "-" },
  ]);
}

function statusOf({ problems, warnings }: ModelReport): string {
  if (problems.length > 0) return "failed";
  return warnings.length > 0 ? "warning" : "ok";
}

function neededBy(report: ModelReport, needed: readonly NeededModel[]): string[] {
  return needed.filter(({ folder }) => folder === report.name).flatMap((model) => model.neededBy);
}
