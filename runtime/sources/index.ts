import { runpod } from "./runpod/definition.ts";
import type { SourceDefinition } from "./source-definition.ts";
import { sqlite } from "./sqlite/definition.ts";
import { supabase } from "./supabase/definition.ts";
import { upstash } from "./upstash/definition.ts";

/** Every source that there is. Of those that are used without being named, the first takes the jobs that are enqueued here. */
export const sourceDefinitions: readonly SourceDefinition[] = [sqlite, upstash, supabase, runpod];
