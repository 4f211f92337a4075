"use client";

import { useEffect, useState } from "react";
import type { Job } from "./backend.ts";
import { backend } from "./connect.ts";

/** A job as it stands, kept up to date until it has ended. */
export function useJob(start: Job): Job {
  const [job, setJob] = useState(start);
  useEffect(() => backend.followJob(start.id, setJob), [start.id]);
  return job;
}
