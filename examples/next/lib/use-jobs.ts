"use client";

import { useCallback, useEffect, useState } from "react";
import type { Job } from "./backend.ts";
import { backend } from "./connect.ts";

const limit = 50;

/** The user's newest jobs, and what takes a new or changed one in. */
export function useJobs(): { readonly jobs: readonly Job[]; readonly error: string | null; put(job: Job): void } {
  const [jobs, setJobs] = useState<readonly Job[]>([]);
  const [error, setError] = useState<string | null>(null);
  const put = useCallback((job: Job) => {
    setJobs((known) => {
      const isKnown = known.some(({ id }) => id === job.id);
      return isKnown ? known.map((each) => (each.id === job.id ? job : each)) : [job, ...known];
    });
  }, []);
  useEffect(() => {
    backend.jobs(limit).then(setJobs, (failure: Error) => setError(failure.message));
  }, []);
  return { jobs, error, put };
}
