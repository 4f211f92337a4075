import { flushCompileCache } from "node:module";
import { CodedError } from "#contract/errors.ts";
import type { RunningServer } from "#functions/server.ts";
import type { Config } from "#runtime/container/config.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { startFacts } from "#runtime/container/start-facts.ts";
import { startRuntime } from "#runtime/container/start-runtime.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { type EnvFile, noteProblems } from "./env-file.ts";
import { exitCodes } from "./errors.ts";
import { Interruption } from "./interruption.ts";
import { bad, note, printResult } from "./output.ts";
import { type GlobalOptions, type ListenOptions, logFormat, openLog, readSettings } from "./settings.ts";

export interface StartOptions extends GlobalOptions, ListenOptions {
  /** Handlers are loaded anew when they, or what they import, change. */
  readonly watch?: boolean;
}

/**
 * The body of `ourvidz start`. The server listens before a job is taken: a container whose port is in use is started again and
 * again, and must not lose a job each time. At the end the server goes last, so that health checks and progress are answered
 * while running jobs finish.
 */
export async function start(options: StartOptions, envFile: EnvFile | null = null): Promise<number> {
  const interruption = new Interruption();
  const settings = await readStartSettings(options, envFile);
  const watching = options.watch ? await watchHandlers() : {};
  const config: Config = { ...settings, ...watching, log: { ...settings.log, format: logFormat(settings) } };
  const log = await openLog(config);
  if (envFile !== null)
    log.info({ file: envFile.path, variables: envFile.variables }, "variables were read from a file");
  for (const { line, problem } of envFile?.problems ?? [])
    log.warn({ file: envFile?.path, line, problem }, "a line of the file with variables is not read as it looks");
  const { runtime, server: started } = await startServing(config, log);
  try {
    for (const problem of runtime.registry.problems) config.onHandlerProblem?.(problem);
    runtime.startHeartbeat(started.port);
    void removeLeft(config.dataFolder).catch((error: unknown) =>
      log.warn({ error }, "what killed commands have left in the data folder could not be removed"),
    );
    // Not waited for: a driver may take seconds to say which GPU there is.
    void startFacts(runtime, started.url).then((facts) =>
      log.info(facts, `listening: the console is at ${started.url}/`),
    );
    printResult(options, { url: started.url }, `listening on ${started.url}`);
    // Otherwise written at the exit alone, which a container that is killed does not come to.
    flushCompileCache();
    const ends = [interruption.requested(), runtime.stopRequested, runtime.dispatcher.failed, started.failed];
    const reason = await Promise.race(ends);
    // Who has started it starts it again, as it does after a crash: running jobs first come to their end.
    if (reason !== undefined)
      throw new CodedError(
        "INTERNAL",
        `The loop that takes jobs has died (${reason}). The container has to be started again.`,
      );
  } finally {
    await runtime.stop(() => started.close());
  }
  return exitCodes.completed;
}

async function startServing(config: Config, log: Logger): Promise<{ runtime: Runtime; server: RunningServer }> {
  const listening = Promise.withResolvers<RunningServer>();
  const runtime = await startRuntime(config, log, async (assembled) => {
    const { startServer } = await import("#functions/server.ts");
    const server = await startServer(assembled, log);
    listening.resolve(server);
    return () => server.close();
  });
  return { runtime, server: await listening.promise };
}

/** What `run`, `backup` and `restore` that were killed (SIGKILL) have left in the data folder holds room. */
async function removeLeft(dataFolder: string): Promise<void> {
  const [{ removeLeftStagings }, { removeLeftRuns }] = await Promise.all([
    import("#runtime/backup/staging.ts"),
    import("./run/scratch-folder.ts"),
  ]);
  for (const kind of ["backup", "restore"] as const) await removeLeftStagings(dataFolder, kind);
  await removeLeftRuns(dataFolder);
}

/** What is wrong with a file is shown as compilers show it. */
async function watchHandlers(): Promise<Pick<Config, "onHandlerProblem">> {
  const [{ loadImportsAnew }, { withFrame }] = await Promise.all([
    import("#runtime/job-types/source-files.ts"),
    import("#runtime/job-types/registry.ts"),
  ]);
  loadImportsAnew();
  return { onHandlerProblem: (problem) => note(`${bad("error:")} ${withFrame(problem)}`) };
}

/** A setting that is wrong may come from a line that is not read as it looks: without a log, that is said here. */
async function readStartSettings(options: StartOptions, envFile: EnvFile | null): Promise<Config> {
  try {
    return await readSettings(options, { serves: true });
  } catch (error) {
    noteProblems(envFile);
    throw error;
  }
}
