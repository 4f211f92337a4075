import type { OurvidzClient } from "#client/client.ts";
import { startRuntime } from "#runtime/container/start-runtime.ts";
import { workersFor } from "#runtime/job-types/call-graph.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { configForOneCommand } from "../run/one-command.ts";
import { ScratchFolder } from "../run/scratch-folder.ts";
import { type GlobalOptions, openLog, readSettings } from "../settings.ts";

/** Where a container in this process is to be called: no port is opened. */
const inProcess = "http://localhost";

/**
 * Gives `body` a container that has a language model: the one that --url names, or else one in this process, in a temporary
 * data folder, that is gone afterwards. Both are asked by the same routes.
 *
 * @param type the job type that will be called: its workers are started
 */
export async function withLanguageModel<Result>(
  type: string,
  options: GlobalOptions,
  body: (client: OurvidzClient) => Promise<Result>,
): Promise<Result> {
  const remote = await remoteClient(options);
  if (remote !== null) return await body(remote);
  const settings = await readSettings(options, { serves: false });
  const registry = await loadHandlers(settings.handlersFolder);
  const workers = workersFor(type, registry.all());
  const scratch = await ScratchFolder.create(options.data === undefined ? undefined : settings.dataFolder);
  try {
    const config = configForOneCommand(settings, { workers, scratch, verbose: options.verbose });
    const log = await openLog(config);
    const [{ createApp }, { OurvidzClient: Client }] = await Promise.all([
      import("#functions/index.ts"),
      import("#client/client.ts"),
    ]);
    const runtime = await startRuntime(config, log);
    try {
      const app = createApp(runtime, log);
      const fetch: typeof globalThis.fetch = async (input, init) => app.fetch(new Request(input, init));
      return await body(new Client({ url: inProcess, fetch }));
    } finally {
      await runtime.stop();
    }
  } finally {
    await scratch.remove();
  }
}
