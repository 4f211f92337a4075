import { createClient } from "@supabase/supabase-js";
import { CodedError } from "../errors.ts";
import type { EdgeConfig } from "./environment.ts";

/** The project's storage, with the project's own rights. */
export interface Storage {
  /**
   * An address to which one file may be uploaded, also over one that is there.
   * @throws CodedError STORAGE_UNREACHABLE, STORAGE_REFUSED
   */
  signUpload(bucket: string, path: string): Promise<{ readonly signedUrl: string; readonly token: string }>;
  /**
   * Removes the files right below a folder. Returns how many there were, 0 where there is no such folder or bucket.
   * @throws CodedError STORAGE_UNREACHABLE, STORAGE_REFUSED
   */
  removeFolder(bucket: string, folder: string): Promise<number>;
}

const timeoutMs = 15_000;
/** As many as the storage lists and removes at once. */
const maxFiles = 1000;

export function connectStorage({ supabaseUrl, serviceKeys }: Pick<EdgeConfig, "supabaseUrl" | "serviceKeys">): Storage {
  const { storage } = createClient(supabaseUrl, serviceKeys[0], {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: { fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(timeoutMs) }) },
  });
  return {
    async signUpload(bucket, path) {
      const { data, error } = await storage.from(bucket).createSignedUploadUrl(path, { upsert: true });
      if (error !== null) throw storageError("signs no upload", error);
      return data;
    },
    async removeFolder(bucket, folder) {
      const files = storage.from(bucket);
      for (let removed = 0; ; ) {
        const listed = await files.list(folder, { limit: maxFiles });
        if (listed.error !== null) {
          if (statusOf(listed.error) === 404) return removed;
          throw storageError("does not list files", listed.error);
        }
        const names = listed.data.flatMap(({ id, name }) => (id === null ? [] : [`${folder}/${name}`]));
        if (names.length === 0) return removed;
        const { error } = await files.remove(names);
        if (error !== null) throw storageError("does not remove files", error);
        removed += names.length;
        if (names.length < maxFiles) return removed;
      }
    },
  };
}

function statusOf(error: object): number {
  return "status" in error ? Number(error.status) : 0;
}

function storageError(what: string, error: Error): CodedError {
  const status = statusOf(error);
  if (status >= 400 && status < 500) {
    const hint = /bucket/i.test(error.message) ? ": push the migrations of this version, which make its bucket" : "";
    return new CodedError("STORAGE_REFUSED", `The storage ${what} (${error.message})${hint}.`, { cause: error });
  }
  return new CodedError("STORAGE_UNREACHABLE", "The storage does not answer: try again in a moment.", { cause: error });
}
