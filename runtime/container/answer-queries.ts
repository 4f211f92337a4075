import { createHash } from "node:crypto";
import type { ChatSessions } from "#runtime/chat-sessions/chat-sessions.ts";
import type { AnswerQuery } from "#runtime/executor/queries.ts";
import type { Presets } from "#runtime/presets/presets.ts";

interface Kept {
  readonly presets: Pick<Presets, "all">;
  readonly sessions: Pick<ChatSessions, "read" | "remember">;
}

/** What handlers find out of what the container keeps. */
export function answerQueries({ presets, sessions }: Kept): AnswerQuery {
  return async (query, { userId, jobId, runId: token }) => {
    const runId = keptRunId(token);
    switch (query.of) {
      case "presets":
        return presets.all;
      case "session": {
        const session = await sessions.read({ userId, sessionId: query.sessionId });
        // A job that runs again has said nothing yet.
        const others = session?.turns.filter((turn) => turn.jobId !== jobId || turn.runId === runId) ?? [];
        return { turns: others.map(({ prompt, response }) => ({ prompt, response })) };
      }
      case "remember":
        return await sessions.remember({ userId, sessionId: query.sessionId }, { ...query.turn, jobId, runId });
    }
  };
}

/** Users read their sessions: a job's run is known by its lease's token, which is for containers alone. */
function keptRunId(runId: string): string {
  return createHash("sha256").update(runId).digest("base64url").slice(0, 22);
}
