import { defineSource } from "../source-definition.ts";

/**
 * The table of jobs in the Supabase project's database. Its variables are the project's, which are also those of its
 * storage and its functions: having them does not mean that jobs come from there.
 */
export const supabase = defineSource({
  name: "supabase",
  environment: {},
  secrets: [],
  needs: ["SUPABASE_URL", "SUPABASE_SERVICE_KEY"],
  usedWhenConfigured: false,
  description: "the queue in the Supabase project's database; the default where SOURCES names it first",
  settings: (_values, { supabase: project, workerId, leaseSeconds }) =>
    project === null ? null : { ...project, workerId, leaseSeconds },
  async connect(settings, { workers, log }) {
    const { createSupabaseSource } = await import("./supabase-source.ts");
    const source = createSupabaseSource({ ...settings, workers, ...(log ? { log } : {}) });
    return { source, queue: source, sessions: source.sessions, trouble: () => source.trouble };
  },
  probe: {
    name: "database",
    run: async (settings) => (await import("./probe.ts")).probeDatabase(settings),
  },
});
