import type { SourceProblem } from "../source-definition.ts";
import type { RestClient } from "./rest-client.ts";

/*
 * A server that evicts keys when its memory is full throws away jobs, and nothing that is left says which. What it would do
 * is in its INFO; one that does not answer that says nothing, and nothing is concluded.
 */
const field = (text: string, name: string) => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(text)?.[1] ?? null;

/** Why jobs may be lost there, null when they are not, or nothing is known. Never rejects. */
export async function evictionProblem(client: RestClient): Promise<Omit<SourceProblem, "sinceMs"> | null> {
  const text = await client.command("eviction policy", ["INFO", "memory"]).catch(() => null);
  if (typeof text !== "string") return null;
  const policy = field(text, "maxmemory_policy");
  if (policy === null || !policy.startsWith("allkeys-")) return null;
  // Without a limit nothing is evicted, whatever the policy.
  if (field(text, "maxmemory") === "0") return null;
  return {
    code: "CONFIG_INVALID",
    summary: `The queue's Redis evicts keys when it is full (${policy}): jobs would be lost.`,
    message: `The queue's Redis has maxmemory-policy ${policy}: when its memory is full it throws away jobs. Set maxmemory-policy noeviction (at Upstash: switch Eviction off).`,
  };
}
