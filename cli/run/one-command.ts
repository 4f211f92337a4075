import type { Config } from "#runtime/container/config.ts";
import { logFormat } from "../settings.ts";
import type { ScratchFolder } from "./scratch-folder.ts";

interface OneCommand {
  readonly workers: readonly string[];
  readonly scratch: ScratchFolder;
  readonly verbose: boolean | undefined;
}

/** A container for one command: only these workers, nothing delivered elsewhere, and logs only when they were requested. */
export function configForOneCommand(settings: Config, { workers, scratch, verbose }: OneCommand): Config {
  return {
    ...settings,
    dataFolder: scratch.path,
    workers,
    // Nobody else reaches it.
    http: { ...settings.http, apiKeys: [] },
    // What it does is this command's own: it goes through the embedded queue, whatever the environment names, and nobody is notified.
    sources: settings.configuredSources.filter(({ isEmbedded }) => isEmbedded),
    configuredSources: [],
    supabase: null,
    callback: null,
    shutdownGraceSeconds: 0,
    log: { level: verbose ? settings.log.level : "silent", format: logFormat(settings) },
  };
}
