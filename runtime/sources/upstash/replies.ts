import { z } from "zod";
import { jobStatuses } from "../job-source.ts";
import { errorReport } from "./records.ts";

/* Shapes of what scripts and commands answer. Numbers inside lists come as numbers or, from some servers, as texts. */

const number = z.coerce.number();
const count = number.int().min(0);

export interface Moment {
  readonly member: string;
  readonly atMs: number;
}

const membersAndScores = z.array(z.union([z.string(), z.number()]));

/** Members and scores of the timetable, in order. The fraction of a score is not part of the moment. */
export function parseMoments(answer: unknown): Moment[] {
  const flat = membersAndScores.parse(answer);
  const moments: Moment[] = [];
  for (let place = 0; place + 1 < flat.length; place += 2) {
    moments.push({ member: String(flat[place]), atMs: Math.floor(Number(flat[place + 1])) });
  }
  return moments;
}

export const scores = z.array(z.union([z.string(), z.number()]).nullable());
export const serverTime = z
  .tuple([number, number])
  .transform(([seconds, us]) => seconds * 1000 + Math.floor(us / 1000));

const emptyOr = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => (value === "" ? undefined : value), schema.optional());

const errorText = emptyOr(z.string().transform((text) => errorReport.parse(JSON.parse(text))));

const flag = count.transform((value) => value === 1);

const leaseAnswer = z
  .tuple([z.string(), z.string(), z.string(), count, count, count, count, count, errorText, z.string(), flag])
  .transform(
    ([jobId, worker, token, run, attempt, queuedAtMs, takenAtMs, expiresAtMs, previousError, body, isEnqueued]) => ({
      jobId,
      worker,
      token,
      run,
      attempt,
      queuedAtMs,
      takenAtMs,
      expiresAtMs,
      previousError,
      body,
      isEnqueued,
    }),
  );
export type LeaseAnswer = z.output<typeof leaseAnswer>;

const endAnswer = z
  .tuple([
    z.string(),
    count,
    count,
    z.enum(["failed", "cancelled"]),
    errorText,
    count,
    z.string(),
    z.string(),
    z.string(),
    number,
    z.string(),
    flag,
  ])
  .transform(([jobId, run, attempt, status, error, endedAtMs, ticket, type, user, priority, body, isEnqueued]) => ({
    end: { jobId, run, attempt, status, endedAtMs, ...(error === undefined ? {} : { error }) },
    ticket,
    card: { id: jobId, type, user, priority, isEnqueued },
    body,
  }));
export type EndAnswer = z.output<typeof endAnswer>;

export const takeAnswer = z
  .tuple([count, z.unknown().transform(parseMoments), count, count, z.array(leaseAnswer), z.array(endAnswer), flag])
  .transform(([nowMs, upcoming, deadCount, repeatedCount, leases, ends, hidesMore]) => ({
    nowMs,
    upcoming,
    deadCount,
    repeatedCount,
    leases,
    ends,
    /** Jobs outside of the offers were moved away, and there may be others behind them. */
    hidesMore,
  }));

const settleOutcome = z.enum(["completed", "failed", "cancelled", "requeued", "lost", "unknown"]);
export const settleAnswer = z.tuple([z.array(settleOutcome)]).transform(([outcomes]) => outcomes);
export const renewAnswer = z.tuple([z.array(count), count]);

export const enqueueAnswer = z.union([
  z.tuple([z.literal("enqueued"), count, z.string(), count, count]),
  z.tuple([z.literal("conflict"), z.enum(["key", "id"]), z.string()]),
  z.tuple([z.literal("compare"), z.string(), z.string()]),
  z.tuple([z.literal("full"), count]),
]);
export const cancelAnswer = z.union([
  z.tuple([z.enum(["cancelled", "requested", "missing"])]),
  z.tuple([z.literal("settled"), z.string()]),
]);
export const reprioritizeAnswer = z.union([
  z.tuple([z.enum(["done", "missing"])]),
  z.tuple([z.literal("refused"), z.string()]),
]);
export const redriveAnswer = z.union([
  z.tuple([z.enum(["redriven", "missing"])]),
  z.tuple([z.literal("refused"), z.string()]),
]);

/** Workers whose queues are paused, and since when. */
const pausedQueues = z.array(z.tuple([z.string(), count])).transform((entries) => new Map(entries));
/** The server's time and what containers have announced. */
const announced = [count, z.array(z.string())] as const;

export const getAnswer = z.union([
  z.tuple([]),
  z.tuple([z.string(), z.string(), z.string(), ...announced, count, pausedQueues]),
]);
export const listAnswer = z.tuple([
  z.array(z.tuple([z.string(), z.string(), z.string(), z.string()])),
  z.string(),
  ...announced,
  pausedQueues,
]);
export const waitingAnswer = z.tuple([z.array(z.tuple([z.string(), z.string()])), ...announced, pausedQueues]);
export const statsAnswer = z.tuple([
  z.array(z.tuple([z.string(), count, count, count, count, number])),
  z.array(z.tuple([z.string(), z.string(), z.string(), count, number])),
  ...announced,
  pausedQueues,
]);
export const repairAnswer = z.tuple([count, z.string()]);
const jobStatus = z.enum(jobStatuses);
export const matchAnswer = z.tuple([z.array(z.tuple([z.string(), jobStatus, errorText])), z.string()]);
export const discardAnswer = z
  .tuple([z.array(z.enum(["discarded", "missing", "unreported", "queued", "running"]))])
  .transform(([outcomes]) => outcomes);

/** `<worker>:<code>:<1: permanent>:<type>` */
const groupName = z.string().transform((name) => {
  const [worker = "", code = "", permanent, ...type] = name.split(":");
  return { name, worker, code, permanent: permanent === "1", type: type.join(":") };
});
export const groupNames = z.array(groupName);
export const failuresAnswer = z.tuple([
  z.array(
    z
      .tuple([groupName, count, number, number, z.string(), errorText])
      .transform(([name, jobs, lastAtMs, arrival, jobId, error]) => ({ name, jobs, lastAtMs, arrival, jobId, error })),
  ),
]);
export const pruneAnswer = z.tuple([z.string()]);

export interface DeadLetter {
  /** Names it, as long as it is there. */
  readonly id: string;
  readonly worker: string;
  readonly reason: string;
  readonly atMs: number;
  /** The element as it was pushed, but for its end when it is long. */
  readonly raw: string;
}

const letterHead = z.object({ worker: z.string(), reason: z.string(), at: z.number() });

/** The first line says why; the rest is the element. */
const deadLetters = z.array(
  z.tuple([z.string(), z.string()]).transform(([id, text]): DeadLetter => {
    const stop = text.indexOf("\n");
    const { worker, reason, at } = letterHead.parse(JSON.parse(text.slice(0, stop)));
    return { id, worker, reason, atMs: at, raw: text.slice(stop + 1) };
  }),
);
export const deadLettersAnswer = z.tuple([deadLetters]);
export const discardLettersAnswer = z.tuple([count, number]);
