import { startEmulator } from "#functions/runpod/emulator.ts";
import type { Config } from "#runtime/container/config.ts";
import { exitCodes } from "./errors.ts";
import { Interruption } from "./interruption.ts";
import { printResult } from "./output.ts";
import { withFirstQueue } from "./queue.ts";
import { type GlobalOptions, openLog, readSettings } from "./settings.ts";

export interface RunpodEmulatorOptions extends GlobalOptions {
  readonly host: string;
  readonly port: string;
}

/** The body of `ourvidz runpod-emulator`. */
export async function runpodEmulator(options: RunpodEmulatorOptions): Promise<number> {
  const interruption = new Interruption();
  const config = await readSettings(options, { serves: false, role: "emulator" });
  const log = await openLog(config);
  return await withFirstQueue(
    config,
    // --data is where the emulator's own files lie, as it is for `start`: it names no queue.
    {},
    async ({ queue, sources, embedded }) => {
      const [first] = sources.values();
      if (first === undefined) throw new Error("no source is configured");
      const { host, port } = options;
      const { apiKeys } = config.http;
      const own = { config, embedded: await embedded(), log };
      const listening = { apiKeys, host, port: Number(port) };
      const emulator = await startEmulator({ ...own, ...listening, source: first.source, queue });
      const { dataFolder } = config;
      const source = first.source.name;
      const shown = { url: emulator.url, source, data_folder: dataFolder };
      printResult(options, shown, `listening on ${emulator.url}\n${placeText(config, source)}`);
      await interruption.requested();
      await emulator.close();
      return exitCodes.completed;
    },
  );
}

/** Where its jobs are, since a folder that is named is not always that place. */
function placeText({ sources, dataFolder }: Config, source: string): string {
  if (sources[0]?.isEmbedded) return `jobs and results are in ${dataFolder}`;
  return `jobs are in the queues of ${source}; what is still to be delivered is in ${dataFolder}`;
}
