"use client";

import { useEffect, useState } from "react";
import { isEnded, type Job } from "@/lib/backend";
import { backend } from "@/lib/connect";
import { useJob } from "@/lib/use-job";

/** A job that has not ended when it is first shown; hands it on with its end. */
export function RunningJob({ start, onEnded }: { readonly start: Job; readonly onEnded: (job: Job) => void }) {
  const job = useJob(start);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    if (isEnded(job)) onEnded(job);
  }, [job, onEnded]);
  const cancel = () => backend.cancelJob(job.id).catch((failure: Error) => setError(failure.message));
  return (
    <li className="card" data-job={job.id}>
      <p>{job.prompt}</p>
      <progress value={job.progress ?? 0} aria-label={`Progress of ${job.prompt}`} />
      <p>
        {job.status}
        {job.place !== null && job.waitingFor === null && `, place ${job.place}`}
        {job.waitingFor !== null && `: no container offers ${job.waitingFor} now`}
      </p>
      <button type="button" onClick={cancel}>
        Cancel
      </button>
      {error !== null && <p role="alert">{error}</p>}
    </li>
  );
}
