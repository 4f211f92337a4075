import { expect, it } from "vitest";
import type { StoredTurn } from "#runtime/chat-sessions/session-store.ts";
import { answerQueries } from "./answer-queries.ts";

it("leaves out of a session what an earlier run of the same job has added", async () => {
  const turn = (jobId: string, runId: string): StoredTurn => ({
    ...{ id: jobId + runId, jobId, runId, prompt: jobId, response: runId },
    createdAtMs: 0,
  });
  const asked: unknown[] = [];
  const answer = answerQueries({
    presets: { all: [] },
    sessions: {
      async read(session) {
        asked.push(session);
        return { turns: [turn("other", "1"), turn("job", "1"), turn("job", "2")], expiresAtMs: 1 };
      },
      remember: async () => ({ isCut: false }),
    },
  });
  const query = { of: "session", sessionId: "lakes" } as const;
  expect(await answer(query, { userId: "ann", jobId: "job", runId: "2" })).toEqual({
    turns: [
      { prompt: "other", response: "1" },
      { prompt: "job", response: "2" },
    ],
  });
  expect(asked).toEqual([{ userId: "ann", sessionId: "lakes" }]);
});
