/** What a client prefers (RFC 7240), as far as it concerns waiting. */
export interface WaitPreference {
  /** `respond-async`: it does not want to wait. */
  readonly isAsync: boolean;
  /** `wait=<seconds>`; null when it is absent. */
  readonly waitSeconds: number | null;
}

/** Preferences that are not understood, or malformed, are ignored, as the RFC says. The first of each name counts. */
export function parsePrefer(header: string | null): WaitPreference {
  const preferences = (header ?? "").split(",").map((part) => part.split(";", 1)[0]?.trim().toLowerCase() ?? "");
  const wait = preferences.flatMap((part) => /^wait\s*=\s*"?(\d{1,9})"?$/.exec(part)?.[1] ?? [])[0];
  return { isAsync: preferences.includes("respond-async"), waitSeconds: wait === undefined ? null : Number(wait) };
}
