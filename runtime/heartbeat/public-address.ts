import type { DetectionMethod } from "./registrar.ts";

export interface PublicAddress {
  readonly url: string;
  readonly detectionMethod: DetectionMethod;
}

/**
 * Where the container is reached from outside: what the operator says, else RunPod's proxy in front of the pod's port.
 * Null where neither is known, as on a laptop.
 */
export function publicAddress(
  known: { readonly publicUrl: string | undefined; readonly podId: string | undefined },
  port: number,
): PublicAddress | null {
  if (known.publicUrl !== undefined) return { url: known.publicUrl.replace(/\/+$/, ""), detectionMethod: "PUBLIC_URL" };
  if (known.podId === undefined) return null;
  return { url: `https://${known.podId}-${port}.proxy.runpod.net`, detectionMethod: "RUNPOD_POD_ID" };
}
