"use client";

import { isEnded } from "@/lib/backend";
import { useJobs } from "@/lib/use-jobs";
import { CreateForm } from "./create-form";
import { Gallery } from "./gallery";
import { RunningJob } from "./running-job";

export function Studio() {
  const { jobs, error, put, remove } = useJobs();
  return (
    <>
      <CreateForm onCreated={put} />
      {error !== null && <p role="alert">{error}</p>}
      <ul className="running" aria-label="In progress">
        {jobs
          .filter((job) => !isEnded(job))
          .map((job) => (
            <RunningJob key={job.id} start={job} onEnded={put} />
          ))}
      </ul>
      <Gallery jobs={jobs.filter(isEnded)} onDelete={remove} />
    </>
  );
}
