import { createClient } from "@supabase/supabase-js";
import type { Backend } from "./backend.ts";
import { containerBackend } from "./container-backend.ts";
import { supabaseBackend } from "./supabase-backend.ts";

/** The Supabase project that the environment names, else one container. */
function connect(): Backend {
  const url = process.env.NEXT_PUBLIC_SUPABASE_URL;
  const key = process.env.NEXT_PUBLIC_SUPABASE_KEY;
  return url && key ? supabaseBackend(createClient(url, key)) : containerBackend();
}

export const backend = connect();
