/**
 * Lets work go on after the answer. Supabase ends an isolate that has answered, unless it was notified of the work.
 *
 * @param onError hears of work that failed: nobody waits for it
 */
export function inBackground(work: Promise<unknown>, onError: (error: unknown) => void): void {
  const guarded = work.catch(onError);
  const runtime: unknown = Reflect.get(globalThis, "EdgeRuntime");
  if (typeof runtime !== "object" || runtime === null) return;
  const waitUntil: unknown = Reflect.get(runtime, "waitUntil");
  if (typeof waitUntil === "function") waitUntil.call(runtime, guarded);
}
