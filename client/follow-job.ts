import { CodedError } from "#contract/errors.ts";
import type { jobEvents } from "#functions/api/jobs-events.ts";
import { type JobEvent, readJobEvents } from "./event-reader.ts";
import type { Connection } from "./http-call.ts";
import type { FollowOptions } from "./options.ts";
import { pause } from "./pause.ts";

/** Streams in a row that may bring nothing before following is given up. */
const maxEmptyStreams = 5;

/**
 * The events of a job to its final state, each once: a stream that breaks is opened again after the last event that came.
 *
 * @throws CodedError as the container answers it; WORKER_UNREACHABLE when streams bring nothing again and again
 */
export async function* followJob(
  connection: Connection,
  id: string,
  { signal, pauseMs = 2000 }: FollowOptions,
): AsyncGenerator<JobEvent> {
  let lastId: string | undefined;
  for (let empty = 0; empty < maxEmptyStreams; empty++) {
    if (empty > 0) await pause(pauseMs, signal);
    try {
      for await (const event of eventsAfter(connection, id, lastId, signal)) {
        empty = 0;
        if (event.id !== "") lastId = event.id;
        yield event;
        if (event.name === "state" && event.data.job !== undefined) return;
      }
    } catch (error) {
      if (signal?.aborted || isFinal(error)) throw error;
    }
  }
  throw new CodedError("WORKER_UNREACHABLE", `The events of job ${id} break off again and again.`);
}

async function* eventsAfter(
  connection: Connection,
  id: string,
  lastId: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobEvent> {
  const headers: Record<string, string> = lastId === undefined ? {} : { "Last-Event-ID": lastId };
  const response = await connection.open<typeof jobEvents>("GET", "/jobs/:id/events", {
    params: { id },
    headers,
    signal,
  });
  if (response.body !== null) yield* readJobEvents(response.body);
}

/** Whether asking again would bring the same. */
function isFinal(error: unknown): boolean {
  return error instanceof CodedError && error.status < 500;
}
