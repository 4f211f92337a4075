/** How the hub is reached. Its usual address is known to its library: see {@link hubEndpoint}. */
export interface HubSettings {
  /** HF_ENDPOINT: a mirror, say; undefined for the hub itself. */
  readonly endpoint: string | undefined;
  /** HF_TOKEN. Goes to the endpoint alone, never to the hosts that it redirects to. */
  readonly token: string | undefined;
}

export interface HubLimits {
  /** How long an answer, or the next bytes of one, may be waited for. */
  readonly idleMs: number;
  /** Requests in a row that fail without a byte having come. */
  readonly tries: number;
  /** Pause after the first failure, doubled with each one that follows. */
  readonly retryBaseSeconds: number;
  readonly retryMaxSeconds: number;
}

export const hubLimits: HubLimits = { idleMs: 30_000, tries: 6, retryBaseSeconds: 1, retryMaxSeconds: 60 };

/** The address of the hub, without a slash at its end. */
export async function hubEndpoint({ endpoint }: HubSettings): Promise<string> {
  const { HUB_URL } = await import("@huggingface/hub");
  return (endpoint ?? HUB_URL).replace(/\/+$/, "");
}
