import { expect, it } from "vitest";
import type { StoredTurn } from "#runtime/chat-sessions/session-store.ts";
import { answerQueries } from "./answer-queries.ts";

it("leaves out of a session what an earlier run of the same job has added", async () => {
  const turn = (jobId: string, runId: string): StoredTurn => ({
    ...{ id: jobId + runId, jobId, runId, prompt: jobId, response: runId },
    createdAtMs: 0,
  });
  const asked: unknown[] = [];
  const remembered: StoredTurn[] = [turn("other", "1"), turn("job", "1")];
  const answer = answerQueries({
    presets: { all: [] },
    sessions: {
      async read(session) {
        asked.push(session);
        return { turns: remembered, expiresAtMs: 1 };
      },
      async remember(_session, { prompt, response, jobId, runId }) {
        remembered.push({ id: "new", prompt, response, jobId, runId, createdAtMs: 0 });
        return { isCut: false };
      },
    },
  });
  const origin = { userId: "ann", jobId: "job", runId: "token-of-the-lease" };
  const added = { prompt: "job", response: "2" };
  await answer({ of: "remember", sessionId: "lakes", turn: added }, origin);
  // Users read what is kept.
  expect(JSON.stringify(remembered)).not.toContain("token-of-the-lease");
  expect(await answer({ of: "session", sessionId: "lakes" }, origin)).toEqual({
    turns: [
      { prompt: "other", response: "1" },
      { prompt: "job", response: "2" },
    ],
  });
  expect(asked).toEqual([{ userId: "ann", sessionId: "lakes" }]);
});
