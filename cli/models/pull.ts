import { memoryOf, modelFacts } from "#runtime/check/models/model-facts.ts";
import { type PulledModel, pullModel } from "#runtime/hub/pull-model.ts";
import { wantedModel } from "#runtime/hub/repository.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { exitCodes } from "../errors.ts";
import { Interruption } from "../interruption.ts";
import { note, printResult } from "../output.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { servedTypes } from "./find-model.ts";
import { createPullView } from "./pull-view.ts";

export interface PullCommandOptions extends GlobalOptions {
  readonly as?: string;
  readonly precision?: string;
  readonly replace?: boolean;
}

/** The body of `ourvidz models pull`. */
export async function pull(repository: string, options: PullCommandOptions): Promise<number> {
  const config = await readSettings(options, { serves: false });
  const wanted = wantedModel(repository, options.as, options.precision);
  const interruption = new Interruption();
  const view = await createPullView(wanted.repo, { plain: options.json === true || options.verbose === true });
  try {
    const { hub, modelsFolder, modelMemoryBytes } = config;
    const { signal } = interruption;
    const replace = options.replace === true;
    const pulled = await pullModel({
      hub,
      modelsFolder,
      modelMemoryBytes,
      wanted,
      need: "current",
      replace,
      signal,
      ...view,
    });
    view.close();
    await report(pulled, wanted.name, config, options);
    return exitCodes.completed;
  } catch (error) {
    view.close();
    if (interruption.exitCode === null) throw error;
    note("Stopped. The same command goes on from here.");
    return interruption.exitCode;
  } finally {
    interruption.close();
  }
}

async function report(
  { record, folder, isNew }: PulledModel,
  name: string,
  config: Awaited<ReturnType<typeof readSettings>>,
  options: PullCommandOptions,
): Promise<void> {
  const sizeBytes = record.files.reduce((sum, { size_bytes }) => sum + size_bytes, 0);
  const { repo, revision, commit, precision } = record;
  const { kind, parts } = await modelFacts(folder);
  const types = await servedTypes(config, name, kind);
  const [cpu, gpu] = [memoryOf(parts, "cpu"), memoryOf(parts, "gpu")];
  printResult(
    options,
    {
      ...{
        name,
        folder,
        repo,
        revision,
        commit,
        ...(precision && { precision }),
        size_bytes: sizeBytes,
        files: record.files.length,
        fetched: isNew,
      },
      job_types: types.all,
      default_of: types.byDefault,
      memory: { cpu_bytes: cpu, gpu_bytes: gpu },
    },
    `${folder}: ${isNew ? "ready" : "there already"}, ${precision === undefined ? "" : `${precision}, `}${bytes(sizeBytes)}`,
  );
  if (options.json) return;
  note(`Its weights take ${bytes(gpu)} of memory on a GPU, ${bytes(cpu)} on a CPU.`);
  if (types.all.length > 0 && types.byDefault.length === 0)
    note(`Jobs of ${types.all.join(", ")} use it when they name it: --model ${name}`);
}
