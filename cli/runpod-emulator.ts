import { startEmulator } from "#functions/runpod/emulator.ts";
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
  const config = await readSettings(options, { serves: false });
  const log = await openLog(config);
  return await withFirstQueue(
    config,
    options.data === undefined ? {} : { data: options.data },
    async ({ queue, sources, embedded }) => {
      const [first] = sources.values();
      if (first === undefined) throw new Error("no source is configured");
      const { host, port } = options;
      const { apiKeys } = config.http;
      const own = { config, embedded: await embedded(), log };
      const listening = { apiKeys, host, port: Number(port) };
      const emulator = await startEmulator({ ...own, ...listening, source: first.source, queue });
      printResult(options, { url: emulator.url }, `listening on ${emulator.url}`);
      await interruption.requested();
      await emulator.close();
      return exitCodes.completed;
    },
  );
}
