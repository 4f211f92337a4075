/** Which failed jobs of a queue are put back on it, and how. */
export interface RedriveOptions {
  /** Only failed jobs with this error code, and of this type: one group of `failures`. */
  readonly code?: string | undefined;
  readonly type?: string | undefined;
  /** Only what this source of the container has. */
  readonly source?: string | undefined;
  /** Also jobs that would fail again as they are. */
  readonly force?: boolean | undefined;
  /** Changes nothing, and counts. */
  readonly dryRun?: boolean | undefined;
  readonly limit?: number | undefined;
  /** As the call before answered it. */
  readonly cursor?: string | undefined;
}
