import { resolve } from "node:path";
import { toErrorReport } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { startRuntime } from "#runtime/container/start-runtime.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { exitCodes } from "../errors.ts";
import { Interruption } from "../interruption.ts";
import { describeJob, type PlannedJob, planJob } from "../job/build-job.ts";
import { asTyped, withFileNames } from "../job/local-inputs.ts";
import type { JobOptions } from "../job/options.ts";
import { withPipedPrompt } from "../prompts/piped-prompt.ts";
import { type GlobalOptions, openLog, readSettings } from "../settings.ts";
import { LocalFiles } from "./local-files.ts";
import { configForOneCommand } from "./one-command.ts";
import { createProgressView, type ProgressView } from "./progress-view.ts";
import { reportRun } from "./report-run.ts";
import { runChildren } from "./run-children.ts";
import type { RunEnd, RunOutcome } from "./run-outcome.ts";
import { RunWatch } from "./run-watch.ts";
import { checkOutFolder, type SavedAsset, saveAssets } from "./save-assets.ts";
import { ScratchFolder } from "./scratch-folder.ts";
import { workersOfRun } from "./workers-of-run.ts";

export interface RunOptions extends GlobalOptions, JobOptions {
  readonly out: string;
}

/** The body of `ourvidz run`: plans the job, runs it in a scratch folder, keeps its files, and cleans up. */
export async function run([type = "", ...words]: readonly string[], options: RunOptions): Promise<number> {
  // Before signals are the command's own: what is piped in may never end.
  const operands = [type, ...(await withPipedPrompt(words))];
  const interruption = new Interruption();
  const settings = await readSettings(options, { serves: false });
  const out = resolve(options.out);
  const registry = await loadHandlers(settings.handlersFolder);
  const described = await describeJob(registry, operands, options);
  const files = await LocalFiles.open(described.files);
  try {
    const planned = planJob(described, files.addresses, options);
    const workers = workersOfRun(planned, registry.all());
    await checkOutFolder(out);
    return await runInScratchFolder({ planned, workers, settings, out, files, options, interruption });
  } finally {
    files.close();
    interruption.close();
  }
}

interface PreparedRun extends Pick<PlannedRun, "planned" | "out" | "interruption"> {
  readonly workers: readonly string[];
  readonly settings: Config;
  readonly files: LocalFiles;
  readonly options: RunOptions;
}

async function runInScratchFolder(parts: PreparedRun): Promise<number> {
  const { planned, settings, out, files, options, interruption } = parts;
  const scratch = await ScratchFolder.create(options.data === undefined ? undefined : settings.dataFolder);
  try {
    const config = configForOneJob(parts, scratch);
    const addresses = asTyped(files.addresses, options);
    const view = withNamedFiles(await createProgressView({ plain: options.verbose === true }), addresses);
    const ran = await runPlanned({ planned, config, out, view, interruption, scratch, log: await openLog(config) });
    const named = <Part extends { readonly end: RunEnd }>(part: Part) => ({
      ...part,
      end: namingFiles(part.end, addresses),
    });
    const outcome = { ...named(ran), children: ran.children.map(named) };
    reportRun(options, planned, outcome);
    const ends = [outcome.end, ...outcome.children.map(({ end }) => end)];
    return exitCodeOf(ends.find(({ status }) => status !== "completed") ?? outcome.end, interruption);
  } finally {
    await scratch.remove();
  }
}

interface PlannedRun {
  readonly planned: PlannedJob;
  readonly config: Config;
  readonly log: Logger;
  readonly out: string;
  readonly view: ProgressView;
  readonly interruption: Interruption;
  readonly scratch: ScratchFolder;
}

async function runPlanned(parts: PlannedRun): Promise<RunOutcome> {
  const { planned, config, log, out, view, interruption, scratch } = parts;
  const startedAtMs = performance.now();
  const { signal } = interruption;
  const keep = async (from: Runtime, job: PlannedJob, end: RunEnd) =>
    end.status === "completed" ? await keepFiles(from, job, end, out, scratch) : [];
  let runtime = await startRuntime(config, log);
  try {
    const watch = new RunWatch(runtime, planned, view);
    const end = withPlace(await watch.run(signal), scratch);
    view.close();
    const saved = await keep(runtime, planned, end);
    const seconds = (performance.now() - startedAtMs) / 1000;
    const { stages } = watch;
    if (end.status !== "completed") return { end, saved, seconds, stages, children: [] };
    const ran = await runChildren(planned, runtime, { config, log, view, signal, keep });
    runtime = ran.runtime;
    return { end, saved, seconds, stages, children: ran.children };
  } finally {
    view.close();
    await runtime.stop();
  }
}

/** Whoever reads an error has typed a file, and does not know the address under which it is served. */
function namingFiles(end: RunEnd, addresses: LocalFiles["addresses"]): RunEnd {
  if (end.status !== "failed" && end.status !== "undelivered") return end;
  return { ...end, error: { ...end.error, message: withFileNames(end.error.message, addresses) } };
}

function withNamedFiles(view: ProgressView, addresses: LocalFiles["addresses"]): ProgressView {
  return {
    preparing: () => view.preparing(),
    step: (step, total) => view.step(step, total),
    note: (text) => view.note(withFileNames(text, addresses)),
    close: () => view.close(),
  };
}

/** What could not be delivered stays, and the error says where. */
function withPlace(end: RunEnd, scratch: ScratchFolder): RunEnd {
  if (end.status !== "undelivered") return end;
  scratch.keep();
  return { ...end, error: toErrorReport(scratch.explain(end.error)) };
}

/** When the files cannot be copied (a full disk), they stay where they are and the error says where. */
async function keepFiles(
  runtime: Runtime,
  { job }: PlannedJob,
  end: Extract<RunEnd, { status: "completed" }>,
  out: string,
  scratch: ScratchFolder,
): Promise<SavedAsset[]> {
  try {
    return await saveAssets({ store: runtime.files, job, assets: end.result.assets, out });
  } catch (error) {
    scratch.keep();
    throw scratch.explain(error);
  }
}

function configForOneJob({ settings, workers, files, options }: PreparedRun, scratch: ScratchFolder): Config {
  const config = configForOneCommand(settings, { workers, scratch, verbose: options.verbose });
  const allowedHosts = [...settings.inputs.allowedHosts, ...files.hosts];
  return { ...config, inputs: { ...settings.inputs, allowedHosts } };
}

function exitCodeOf(end: RunEnd, interruption: Interruption): number {
  if (end.status === "completed") return exitCodes.completed;
  return end.status === "cancelled" ? (interruption.exitCode ?? exitCodes.failed) : exitCodes.failed;
}
