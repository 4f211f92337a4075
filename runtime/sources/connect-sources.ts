import type { SessionStore } from "#runtime/chat-sessions/session-store.ts";
import { JobQueues } from "./job-queues.ts";
import type { JobQueue } from "./job-source.ts";
import type { ConfiguredSource, ConnectContext, ConnectedSource } from "./source-definition.ts";

/** The sources of a container, connected. */
export interface Sources {
  /** In the order of the configuration. */
  readonly byName: ReadonlyMap<string, ConnectedSource>;
  /** The queues of those that have one. */
  readonly queues: JobQueues;
  /** Of the first source that keeps some. */
  readonly sessions: SessionStore | null;
  close(): Promise<void>;
}

/** Connects them; the code of a source that is not named is not even loaded. */
export async function connectSources(sources: readonly ConfiguredSource[], context: ConnectContext): Promise<Sources> {
  const connected = await Promise.all(sources.map(async (source) => [source, await source.connect(context)] as const));
  const queues = connected.flatMap(([{ name }, { queue }]): [string, JobQueue][] =>
    queue === null ? [] : [[name, queue]],
  );
  return {
    byName: new Map(connected.map(([{ name }, source]) => [name, source])),
    queues: new JobQueues(new Map(queues)),
    sessions: connected.map(([, { sessions }]) => sessions).find((sessions) => sessions !== null) ?? null,
    async close() {
      // What lies in the data folder is closed by who opened it.
      const own = connected.filter(([{ isEmbedded }]) => !isEmbedded);
      await Promise.all(own.map(([, { source }]) => source.close()));
    },
  };
}
