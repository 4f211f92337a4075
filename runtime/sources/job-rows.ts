/**
 * The app's own record of jobs whose queue is elsewhere. It moves by callbacks; what somebody does to a job that no
 * container runs is called back by nobody, and is told here.
 */
export interface JobRows {
  /** The job was cancelled before it ran, or before it ran again. */
  cancelled(jobId: string): Promise<void>;
  /** The failed job is about to go back to its queue, and its next callbacks must count. */
  redriven(jobId: string): Promise<void>;
}
