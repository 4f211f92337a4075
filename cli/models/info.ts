import { inspectModel } from "#runtime/check/models/inspect-model.ts";
import { type ModelPart, memoryOf, modelFacts, modelMemory } from "#runtime/check/models/model-facts.ts";
import { readRecord } from "#runtime/hub/pulled-record.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { exitCodes } from "../errors.ts";
import { note, printResult } from "../output.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { table } from "../table.ts";
import { namedModel, servedTypes } from "./find-model.ts";

/** The body of `ourvidz models info`: 1 when the model would not load. */
export async function info(name: string, options: GlobalOptions): Promise<number> {
  const config = await readSettings(options, { serves: false });
  const model = await namedModel(config, name);
  const [facts, report, record] = await Promise.all([
    modelFacts(model.path),
    inspectModel(model.path),
    readRecord(model.path),
  ]);
  const { kind, parts } = facts;
  const types = await servedTypes(config, model.name, kind);
  const [cpu, gpu] = [modelMemory(facts, "cpu"), modelMemory(facts, "gpu")];
  const workspace = kind?.workspaceBytes ?? 0;
  const source = record && {
    repo: record.repo,
    revision: record.revision,
    commit: record.commit,
    pulled_at: record.pulled_at,
  };
  const value = {
    name: model.name,
    folder: model.path,
    aliases: model.aliases,
    class_name: kind?.className ?? null,
    worker: kind?.worker ?? null,
    job_types: types.all,
    default_of: types.byDefault,
    size_bytes: report.sizeBytes,
    parts: parts.map((part) => ({ name: part.name, size_bytes: part.sizeBytes, weight_bytes: part.weightBytes })),
    memory: { cpu_bytes: cpu, gpu_bytes: gpu, workspace_bytes: workspace },
    source,
    problems: report.problems,
    warnings: report.warnings,
  };
  const lines = [
    ["folder", model.path],
    ["names", [model.name, ...model.aliases].join(", ")],
    [
      "kind",
      kind === null
        ? "no folder of diffusers, and no language model"
        : `${kind.className}${kind.worker === null ? ", which no pipeline here runs" : ""}`,
    ],
    ["job types", types.all.join(", ") || "none"],
    ["used by default", types.byDefault.join(", ") || "no: jobs have to name it"],
    [
      "source",
      source === null
        ? "not fetched by this command"
        : `${source.repo}@${source.revision}, commit ${source.commit}, ${source.pulled_at}`,
    ],
    ["size", bytes(report.sizeBytes)],
    [
      "memory",
      `weights ${bytes(gpu)} on a GPU, ${bytes(cpu)} on a CPU; a run takes up to ${bytes(workspace)} beside them`,
    ],
  ] as const;
  const width = Math.max(...lines.map(([title]) => title.length));
  const text = lines.map(([title, fact]) => `${title.padEnd(width)}  ${fact}`).join("\n");
  printResult(options, value, `${text}\n\n${partTable(parts)}`);
  if (!options.json) for (const sentence of [...report.problems, ...report.warnings]) note(sentence);
  return report.problems.length === 0 ? exitCodes.completed : exitCodes.failed;
}

function partTable(parts: readonly ModelPart[]): string {
  return table(parts, [
    { title: "PART", value: ({ name }) => name },
    { title: "SIZE", value: ({ sizeBytes }) => bytes(sizeBytes) },
    { title: "ON A GPU", value: (part) => memory(part, "gpu") },
    { title: "ON A CPU", value: (part) => memory(part, "cpu") },
    { title: "DATA TYPES", value: ({ weightBytes }) => types(weightBytes) },
  ]);
}

function memory(part: ModelPart, device: "cpu" | "gpu"): string {
  const count = memoryOf([part], device);
  return count === 0 ? "-" : bytes(count);
}

function types(weightBytes: ModelPart["weightBytes"]): string {
  const largestFirst = Object.entries(weightBytes).sort(([, a], [, b]) => b - a);
  return largestFirst.map(([type, count]) => `${type} ${bytes(count)}`).join(", ") || "-";
}
