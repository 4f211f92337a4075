/*
 * Handlers read no environment, and their process works on files that users chose: what opens the app, the queue or
 * the platform stays in the dispatcher process. Everything else goes along, for native libraries have variables of their
 * own (LD_LIBRARY_PATH, CUDA_VISIBLE_DEVICES, OMP_NUM_THREADS).
 */
const secretNames = /KEY|TOKEN|SECRET|PASSW|CREDENTIAL|HEADERS|AUTH|COOKIE/i;
/** Addresses in which a password may stand, also where it does not at present. */
const secretAddresses = new Set(["REDIS_URL", "DATABASE_URL"]);
/** `https://user:password@host`, whatever the variable is called. */
const holdsPassword = /\/\/[^/\s:@]*:[^/\s@]+@/;

/**
 * For glibc, unless the operator has set its own: otherwise each large block that is freed (a model's file after it was
 * loaded) makes it keep blocks of that size, up to 32 MB, and 64 MB at the end of the heap, in the process for ever.
 */
export const executorMemory = { MALLOC_TRIM_THRESHOLD_: "131072" } as const;

export function executorEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  const kept = Object.entries(environment).filter(
    ([name, value = ""]) => !secretNames.test(name) && !secretAddresses.has(name) && !holdsPassword.test(value),
  );
  return { ...executorMemory, ...Object.fromEntries(kept) };
}
