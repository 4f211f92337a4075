/** What a reference file may cost. */
export interface InputLimits {
  readonly sizeBytes: number;
  /** From the first look-up to the last byte, redirects included. */
  readonly totalMs: number;
  /** Between two signs of life of a server. */
  readonly silenceMs: number;
  readonly redirects: number;
}

export const inputLimits: InputLimits = {
  sizeBytes: 50 * 1024 * 1024,
  totalMs: 30_000,
  silenceMs: 10_000,
  redirects: 3,
};
