import { queueName } from "./job-types.ts";

export type PopSide = "left" | "right";

export interface ProducersList {
  readonly list: string;
  readonly side: PopSide;
}

export interface KeySettings {
  /** Begins every key of ours, so that several deployments can share a database. */
  readonly prefix: string;
  /** Where a producer's list is not `<worker>_queue`, or its oldest element is not on the right. */
  readonly lists: Readonly<Record<string, Partial<ProducersList>>>;
}

export type Keys = ReturnType<typeof createKeys>;

export const defaultPrefix = "ourvidz";

/** How long the record of a settled job is kept in Redis, unless a container is told otherwise. */
export const defaultKeepSettledDays = 7;

/** Where containers hear that there is something for them. */
export function eventsChannel(prefix: string = defaultPrefix): string {
  return `${prefix}:events`;
}

/**
 * Every key of the queue in Redis.
 *
 *   job:<id>                   string  a job's state as JSON, a line feed, its body; with a time to live once it is settled
 *   ready:<worker>             zset    jobs that are due, by priority and turn
 *   parked:<worker>            zset    jobs that are due and that a container met which could not run them
 *   parked:<worker>:<type>:<model>
 *                              zset    the same, by what they need
 *   turns:<worker>             hash    which turn is served, and each user's last one
 *   timetable                  zset    what happens at a moment: a delay is over, a lease runs out, a job expires, an end is
 *                                      to be reported, a failed job is forgotten
 *   index                      zset    all jobs by arrival
 *   failures                   zset    groups of failed jobs, by when a job last failed so
 *   failed:<group>             zset    the failed jobs of each by arrival; a group is `<worker>:<code>:<1: permanent>:<type>`,
 *                                      at most 200; what is no type's name or beyond them has the type `(other)`
 *   failures-filed             string  that jobs which failed before there were groups are in theirs; for a day
 *   discarded                  zset    jobs that were discarded lately, by when: their late calls find them lost
 *   logs:<id>                  hash    what failed attempts of a job have printed, by attempt: its run, a line feed, the log as JSON
 *   idempotency:<user>:<key>   string  id of the job that was enqueued with it
 *   offers                     hash    what each container can run, and until when that counts
 *   marker                     string  made by the first container: gone, or another one, the server has lost its data
 *   chat-sessions:<user>       zset    the user's sessions of chat, each by when it expires; gone when the last one has. What is not in
 *                                      it is not there, whatever else is left of it
 *   chat-turns:<user>:<session>
 *                              list    a session's turns, the oldest first: a head as JSON, a line feed, the texts as JSON
 *   dead-letters               list    elements in which there is no job, each with the reason
 *   events                     channel
 */
export function createKeys({ prefix, lists }: KeySettings) {
  const key = (...parts: readonly string[]) => [prefix, ...parts].join(":");
  return {
    job: (id: string) => key("job", id),
    jobPrefix: key("job", ""),
    ready: (worker: string) => key("ready", worker),
    readyPrefix: key("ready", ""),
    parked: (worker: string) => key("parked", worker),
    /** @param model what the job names; null: none */
    parkedFor: (worker: string, type: string, model: string | null) => key("parked", worker, type, model ?? ""),
    parkedPrefix: key("parked", ""),
    turns: (worker: string) => key("turns", worker),
    turnsPrefix: key("turns", ""),
    timetable: key("timetable"),
    index: key("index"),
    offers: key("offers"),
    failures: key("failures"),
    failed: (group: string) => key("failed", group),
    failedPrefix: key("failed", ""),
    discarded: key("discarded"),
    failuresFiled: key("failures-filed"),
    logs: (id: string) => key("logs", id),
    logsPrefix: key("logs", ""),
    idempotency: (userId: string, idempotencyKey: string) => key("idempotency", userId, idempotencyKey),
    chatSessions: (userId: string) => key("chat-sessions", userId),
    chatTurns: (userId: string, sessionId: string) => key("chat-turns", userId, sessionId),
    chatTurnsPrefix: (userId: string) => key("chat-turns", userId, ""),
    marker: key("marker"),
    deadLetters: key("dead-letters"),
    events: eventsChannel(prefix),
    /** The plain list that producers push to. It has no prefix: its name is theirs. */
    producersList(worker: string): ProducersList {
      const { list = queueName(worker), side = "right" } = lists[worker] ?? {};
      return { list, side };
    },
  } as const;
}
