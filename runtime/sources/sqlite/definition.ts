import { defineSource } from "../source-definition.ts";

/** The queue in the data folder: no environment turns it on, and it is used where no other is. */
export const sqlite = defineSource({
  name: "sqlite",
  environment: {},
  secrets: [],
  needs: [],
  usedWhenConfigured: false,
  description: "the queue in the data folder",
  settings: () => ({}),
  async connect(_settings, { embedded }) {
    const source = await embedded();
    return { source, queue: source, sessions: source.sessions };
  },
  probe: {
    name: "embedded queue",
    async run(_settings, { embedded }) {
      const queues = await (await embedded()).stats();
      return `jobs queued: ${queues.reduce((sum, { queued }) => sum + queued, 0)}`;
    },
  },
});
