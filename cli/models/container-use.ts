import { z } from "zod";
import type { Config } from "#runtime/container/config.ts";

/** A port that nobody listens at refuses at once; a container that has much to do may take seconds. */
const limitMs = 10_000;
const workerInfo = z.object({
  models: z.array(z.object({ name: z.string(), size_bytes: z.number(), loaded_by: z.array(z.string()) })),
});

/**
 * The workers of a container on this machine, at the port of the environment, that have a model in memory. Empty also where no
 * container answers, or one whose key is not known here.
 * @param sizeBytes of the model's files: a container with another models folder may have one of the same name
 */
export async function workersWith({ http }: Config, name: string, sizeBytes: number): Promise<string[]> {
  const [key] = http.apiKeys;
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  try {
    const signal = AbortSignal.timeout(limitMs);
    const response = await fetch(`http://127.0.0.1:${http.port}/worker/info`, { headers, signal });
    const { models } = workerInfo.parse(await response.json());
    return models.find((model) => model.name === name && model.size_bytes === sizeBytes)?.loaded_by ?? [];
  } catch {
    return [];
  }
}
