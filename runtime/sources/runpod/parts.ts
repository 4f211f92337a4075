import { RunpodApi } from "./api.ts";
import { Changes } from "./changes.ts";
import { EarlierJobs } from "./earlier-jobs.ts";
import { FailureFiles } from "./failure-files.ts";
import { FailurePosts } from "./failure-posts.ts";
import { HeldClock } from "./held-clock.ts";
import { HeldJobs } from "./held-jobs.ts";
import { JobTakes } from "./job-takes.ts";
import { defaultTimings, type RunpodSourceOptions } from "./options.ts";
import { pingerOf } from "./pinger.ts";
import { Posts } from "./posts.ts";
import { PresentJobs } from "./present-jobs.ts";
import { expandTemplate } from "./protocol/url-templates.ts";
import { Receiving } from "./receiving.ts";
import { Refresh } from "./refresh.ts";
import { Settling } from "./settling.ts";
import { StopChannel } from "./stop-channel.ts";
import { UnreportedEnds } from "./unreported-ends.ts";
import { WaitingEnds } from "./waiting-ends.ts";

export type Parts = ReturnType<typeof connectParts>;

/**
 * What a source is made of, connected: a take's jobs are received and wait, are leased, and settled or ended; each end makes room
 * for the next take.
 * @param stopping aborts when the container stops
 */
export function connectParts(options: RunpodSourceOptions, stopping: AbortSignal) {
  const { nowMs = Date.now, monotonicMs = () => performance.now(), random = Math.random } = options;
  const { log, apiKey, handlerOf, leaseSeconds, maxConcurrency, workerId, gpuType } = options;
  const timings = { ...defaultTimings, ...options.timings };
  const api = new RunpodApi({ apiKey, log, postPausesMs: timings.postPausesMs });
  const posts = new Posts({ ...options, api, timings, monotonicMs });
  const present = new PresentJobs(pingerOf(options), () => [...held.ids, ...failures.ids, ...earlier.ids]);
  const onChange = () => present.changed();
  const files = options.failuresFolder === undefined ? null : new FailureFiles(options.failuresFolder);
  const failures = new FailurePosts({ posts, log, pauseMs: timings.errorPausesMs.at(-1) ?? 0, files, onChange });
  const held = new HeldJobs({ nowMs, monotonicMs }, onChange);
  const earlier = new EarlierJobs(leaseSeconds, monotonicMs, onChange);
  const end = () => takes.breakOff().then(() => failures.posted());
  const refresh = new Refresh(options, { held: () => held.ids, end });
  const changes = new Changes((isWaiting) => takes.onWaiting(isWaiting));
  const unreported = new UnreportedEnds(leaseSeconds, monotonicMs);
  const onTime = () => {
    changes.jobs.notify();
    // Who has no executor that is free does not wait for jobs.
    if (held.rejected.length > 0) changes.ends.notify();
  };
  const clock = new HeldClock({ held, handlerOf, unofferedLimitMs: timings.unofferedLimitMs, onTime });
  const onWaits = () => {
    clock.look();
    changes.jobs.notify();
  };
  const onReceived = () => {
    stops.go();
    onWaits();
  };
  const onRoom = () => {
    if (held.takeAgain().filter((job) => receiving.receive(job)).length > 0) onReceived();
    refresh.onRoom();
    changes.jobs.notify();
    takes.go();
  };
  const ends = new WaitingEnds({ held, failures, unreported, changes, onRoom });
  const settling = new Settling({ held, posts, failures, earlier, present, unreported, stopping, onWaits, onRoom });
  const receiving = new Receiving({ source: options, held, present, failures, ends, stopping });
  const takeUrl = expandTemplate(options.takeUrl, { workerId, ...(gpuType === undefined ? {} : { gpuType }) });
  const polling = { api, timings, log, random, monotonicMs };
  const stops = new StopChannel({ takeUrl, polling, held, ends, changes });
  const takes = new JobTakes({
    takeUrl,
    polling,
    maxConcurrency,
    heldJobs: () => held.size,
    hasJobs: () => present.ids.length > 0,
    isOver: () => stopping.aborted || refresh.isWanted,
    receive: (job) => receiving.receive(job),
    onReceived,
  });
  return {
    api,
    posts,
    present,
    failures,
    held,
    earlier,
    refresh,
    changes,
    unreported,
    clock,
    ends,
    settling,
    stops,
    takes,
  };
}
