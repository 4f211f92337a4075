import type { SourceProblem } from "../source-definition.ts";
import type { RestClient } from "./rest-client.ts";

/** Null when the server does not answer. Never rejects. */
export async function readInfo(client: RestClient): Promise<string | null> {
  const text = await client.command("server info", ["INFO"]).catch(() => null);
  return typeof text === "string" ? text : null;
}

/** A field of an INFO; null when it is not there. */
export function infoField(info: string, name: string): string | null {
  return new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? null;
}

/**
 * A server that evicts keys when its memory is full throws away jobs, and nothing that is left says which. Why jobs may
 * be lost there; null when they are not, or nothing is known.
 */
export function evictionIn(info: string): Omit<SourceProblem, "sinceMs"> | null {
  const policy = infoField(info, "maxmemory_policy");
  if (policy === null || !policy.startsWith("allkeys-")) return null;
  // Without a limit nothing is evicted, whatever the policy.
  if (infoField(info, "maxmemory") === "0") return null;
  return {
    code: "CONFIG_INVALID",
    summary: `The queue's Redis evicts keys when it is full (${policy}): jobs would be lost.`,
    message: `The queue's Redis has maxmemory-policy ${policy}: when its memory is full it throws away jobs. Set maxmemory-policy noeviction (at Upstash: switch Eviction off).`,
  };
}
