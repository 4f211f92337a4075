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
    async ({ queue, sources }) => {
      const [first] = sources.values();
      if (first === undefined) throw new Error("no source is configured");
      const { host, port } = options;
      const { apiKeys } = config.http;
      const emulator = await startEmulator({ source: first.source, queue, apiKeys, host, port: Number(port), log });
      printResult(options, { url: emulator.url }, `listening on ${emulator.url}`);
      await interruption.requested();
      await emulator.close();
      return exitCodes.completed;
    },
  );
}
