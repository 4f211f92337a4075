import { expect, it } from "vitest";
import { z } from "zod";
import { describeSessionStore, type SessionHarness } from "#test/conformance/sessions.ts";
import { openHarness } from "./testing/sqlite-harness.ts";

const fillStatement = `
  WITH RECURSIVE places (place) AS (SELECT 1 UNION ALL SELECT place + 1 FROM places WHERE place < :sessions)
  INSERT INTO chat_sessions (user_id, session_id, turns, expires_at_ms)
  SELECT :user_id, 'filled-' || place, '[]', :expires_at_ms FROM places`;

async function openSessions(): Promise<SessionHarness & { rows(): number }> {
  const { source, second, advance, database, nowMs, close } = await openHarness({ durable: false });
  const count = database.query("SELECT count(*) AS rows FROM chat_sessions", z.object({ rows: z.number() }));
  return {
    store: source.sessions,
    other: (await second()).source.sessions,
    advance,
    fill: async (user_id, sessions) =>
      void database.command(fillStatement).run({ user_id, sessions, expires_at_ms: nowMs() + 86_400_000 }),
    empty: async () => void database.command("DELETE FROM chat_sessions").run(),
    close,
    rows: () => count.get()?.rows ?? 0,
  };
}

describeSessionStore("sqlite", openSessions);

it("sweeps expired sessions, so many at a time", async () => {
  const { store, advance, rows, close } = await openSessions();
  const add = (sessionId: string) =>
    store.append(
      { userId: "ann", sessionId },
      { id: sessionId, jobId: sessionId, runId: "1", prompt: "a lake", response: "yes" },
    );
  for (const sessionId of ["a", "b", "c"]) await add(sessionId);
  await advance(86_400_000);
  await add("d");
  expect([await store.sweep(2), rows()]).toEqual([2, 2]);
  expect([await store.sweep(2), rows()]).toEqual([1, 1]);
  expect(await store.read({ userId: "ann", sessionId: "d" })).not.toBeNull();
  await close();
});
