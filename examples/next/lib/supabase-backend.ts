import type { SupabaseClient } from "@supabase/supabase-js";
import { answerOf, type Backend, isEnded, jobBody, type Overview, sha256Of } from "./backend.ts";
import { invoke, readJob, readJobs } from "./supabase-jobs.ts";

/* A Supabase project with the migrations and edge functions of this repository. */

/** Realtime tells of changes at once; this is for a browser that it does not reach. */
const lookEveryMs = 5_000;

export function supabaseBackend(supabase: SupabaseClient): Backend {
  return {
    async user() {
      const { user } = (await supabase.auth.getSession()).data.session ?? { user: null };
      return user === null ? null : { id: user.id, email: user.email ?? "" };
    },
    async signIn(email, password) {
      const { data, error } = await supabase.auth.signInWithPassword({ email, password });
      if (error !== null) throw new Error(error.message);
      return { id: data.user.id, email };
    },
    signOut: async () => void (await supabase.auth.signOut()),
    createJob: async (wanted) =>
      (await invoke<{ job_id: string }>(supabase, "queue-job", { body: jobBody(wanted) })).job_id,
    job: (id) => readJob(supabase, id),
    jobs: (limit) => readJobs(supabase, limit),
    followJob(id, onChange) {
      const look = () =>
        void readJob(supabase, id).then(
          (seen) => {
            onChange(seen);
            if (isEnded(seen)) clearInterval(timer);
          },
          () => undefined,
        );
      const timer = setInterval(look, lookEveryMs);
      const change = { event: "UPDATE", schema: "ourvidz", table: "jobs", filter: `id=eq.${id}` } as const;
      const channel = supabase.channel(`job ${id}`).on("postgres_changes", change, look).subscribe();
      look();
      return () => {
        clearInterval(timer);
        void supabase.removeChannel(channel);
      };
    },
    cancelJob: async (id) => void (await invoke(supabase, "cancel-job", { body: { job_id: id } })),
    deleteJob: async (id) => void (await invoke(supabase, "delete-job", { body: { job_id: id } })),
    async uploadReference(file) {
      const body = { content_type: file.type, size_bytes: file.size, sha256: await sha256Of(file) };
      const upload = await invoke<{ upload_url: string; input: string }>(supabase, "create-upload", { body });
      await answerOf(
        await fetch(upload.upload_url, { method: "PUT", headers: { "content-type": file.type }, body: file }),
      );
      return upload.input;
    },
    async overview() {
      const token = (await supabase.auth.getSession()).data.session?.access_token ?? "";
      return answerOf<Overview>(await fetch("/api/admin", { headers: { authorization: `Bearer ${token}` } }));
    },
  };
}
