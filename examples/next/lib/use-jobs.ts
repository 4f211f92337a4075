"use client";

import { useCallback, useEffect, useState } from "react";
import type { Job } from "./backend.ts";
import { backend } from "./connect.ts";

const limit = 50;

interface Jobs {
  readonly jobs: readonly Job[];
  readonly error: string | null;
  /** Takes a new or changed one in. */
  put(job: Job): void;
  /** Deletes one for good. */
  remove(id: string): void;
}

/** The user's newest jobs. */
export function useJobs(): Jobs {
  const [jobs, setJobs] = useState<readonly Job[]>([]);
  const [error, setError] = useState<string | null>(null);
  const put = useCallback((job: Job) => {
    setJobs((known) => {
      const isKnown = known.some(({ id }) => id === job.id);
      return isKnown ? known.map((each) => (each.id === job.id ? job : each)) : [job, ...known];
    });
  }, []);
  const remove = useCallback((id: string) => {
    const removed = () => setJobs((known) => known.filter((each) => each.id !== id));
    backend.deleteJob(id).then(removed, (failure: Error) => setError(failure.message));
  }, []);
  useEffect(() => {
    backend.jobs(limit).then(setJobs, (failure: Error) => setError(failure.message));
  }, []);
  return { jobs, error, put, remove };
}
