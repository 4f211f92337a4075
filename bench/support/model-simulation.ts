import { type Job, jobEnvelope } from "#contract/job.ts";

/*
 * Executors that hold models, in simulated time: only the queue is real. Which job an executor gets is the queue's
 * choice; how long the job and the loading of its model take is given here.
 */
export interface Arrival {
  readonly job: Job;
  readonly atSeconds: number;
}

export interface Queue {
  push(jobs: readonly Job[]): Promise<void>;
  /** The next job for this executor, which holds these models; it is done when the executor asks again. */
  next(executor: number, heldModels: readonly string[]): Promise<Job | null>;
  close(): Promise<void>;
}

export interface Timing {
  readonly executors: number;
  /** How many models an executor holds; the one that was used longest ago goes first. */
  readonly maxHeld: number;
  readonly jobSeconds: number;
  readonly loadSeconds: number;
}

export interface Started {
  readonly job: Job;
  readonly atSeconds: number;
  readonly waitedSeconds: number;
  readonly isLoad: boolean;
}

/** Jobs of several users, each with a model of choice, at random moments; all at once when `everySeconds` is 0. */
export function mixedTrace(
  random: () => number,
  {
    jobs,
    users: userCount,
    everySeconds,
  }: { readonly jobs: number; readonly users: number; readonly everySeconds: number },
): Arrival[] {
  const models = ["model-a", "model-a", "model-a", "model-b", "model-b", "model-c", "model-d", "model-e"];
  const pick = <Value>(values: readonly Value[]): Value | undefined => values[Math.floor(random() * values.length)];
  // Some ask for much more than others: the first of twelve users for six times as much as the last.
  const users = Array.from({ length: userCount }, (_, rank) =>
    Array<string>(Math.ceil(12 / (rank + 2))).fill(`user-${rank}`),
  );
  const favourites = new Map(users.map(([user = ""]) => [user, pick(models)]));
  let atSeconds = 0;
  return Array.from({ length: jobs }, (_, place) => {
    // Exponential gaps: arrivals know nothing of each other.
    atSeconds += -Math.log(1 - random()) * everySeconds;
    const user = pick(users.flat()) ?? "user-0";
    const model = random() < 0.6 ? favourites.get(user) : pick(models);
    const fields = { type: "sdxl_image_fast", prompt: "a lake in autumn", user_id: user, model_variant: model };
    return { job: jobEnvelope.parse({ id: `job-${place}`, ...fields }), atSeconds };
  });
}

/** Runs the whole trace; jobs in the order in which they start. */
export async function simulate(queue: Queue, trace: readonly Arrival[], timing: Timing): Promise<Started[]> {
  const executors = Array.from({ length: timing.executors }, (_, place) => ({
    place,
    freeAt: 0,
    held: [] as string[],
  }));
  const arrivedAt = new Map(trace.map(({ job, atSeconds }) => [job.id, atSeconds]));
  const started: Started[] = [];
  let arrived = 0;
  while (started.length < trace.length) {
    const executor = executors.reduce((first, other) => (other.freeAt < first.freeAt ? other : first));
    const due = trace.slice(arrived).filter(({ atSeconds }) => atSeconds <= executor.freeAt);
    if (due.length > 0) await queue.push(due.map(({ job }) => job));
    arrived += due.length;
    const job = await queue.next(executor.place, executor.held);
    if (job === null) {
      executor.freeAt = trace[arrived]?.atSeconds ?? Number.POSITIVE_INFINITY;
      continue;
    }
    const model = job.model_variant ?? "";
    const isLoad = !executor.held.includes(model);
    executor.held = [model, ...executor.held.filter((other) => other !== model)].slice(0, timing.maxHeld);
    const waitedSeconds = executor.freeAt - (arrivedAt.get(job.id) ?? Number.NaN);
    started.push({ job, atSeconds: executor.freeAt, waitedSeconds, isLoad });
    executor.freeAt += timing.jobSeconds + (isLoad ? timing.loadSeconds : 0);
  }
  return started;
}

/** The most jobs of the same user that came later and started earlier than one of the user's jobs. */
export function maxPassedOver(started: readonly Started[]): number {
  const placeOf = ({ job }: Started) => Number(job.id.split("-").at(-1));
  const passedOver = [...Map.groupBy(started, ({ job }) => job.user_id).values()].flatMap((own) =>
    own.map((one, index) => own.slice(0, index).filter((earlier) => placeOf(earlier) > placeOf(one)).length),
  );
  return Math.max(...passedOver);
}

/** How much later the job that suffers most starts here than there. */
export function worstExtraSeconds(here: readonly Started[], there: readonly Started[]): number {
  const waitedThere = new Map(there.map(({ job, waitedSeconds }) => [job.id, waitedSeconds]));
  return Math.max(...here.map(({ job, waitedSeconds }) => waitedSeconds - (waitedThere.get(job.id) ?? Number.NaN)));
}
