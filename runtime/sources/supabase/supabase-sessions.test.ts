import { expect, it } from "vitest";
import { describeSessionStore, type SessionHarness } from "#test/conformance/sessions.ts";
import { emptyTables } from "#test/support/supabase/database.ts";
import { openHarness, useProject } from "./testing/supabase-harness.ts";

const shared = useProject();

const fillStatement = `
  insert into ourvidz.chat_sessions (user_id, session_id, turns, expires_at)
  select $1, 'filled-' || place, '[]', ourvidz.clock() + interval '1 day' from generate_series(1, $2) as place`;

async function openSessions(): Promise<SessionHarness> {
  const { supabase, second, advance, close } = await openHarness(shared);
  const empty = () => emptyTables(shared.postgres.database.query, ["ourvidz.chat_sessions"]);
  await empty();
  const fill = async (userId: string, sessions: number) =>
    void (await shared.postgres.database.query(fillStatement, [userId, sessions]));
  return { store: supabase.sessions, other: (await second()).supabase.sessions, advance, fill, empty, close };
}

describeSessionStore("supabase", openSessions);

const turn = (id: string) => ({ id, jobId: id, runId: "1", prompt: id, response: "yes" });

it("sweeps expired sessions, so many at a time, also when another one begins", async () => {
  const { store, advance, close } = await openSessions();
  const { query } = shared.postgres.database;
  const rows = async () => (await query("select session_id from ourvidz.chat_sessions order by 1")).length;
  for (const sessionId of ["a", "b", "c"]) await store.append({ userId: "ann", sessionId }, turn(sessionId));
  await advance(86_400_000);
  expect([await store.sweep(2), await rows()]).toEqual([2, 1]);
  await store.append({ userId: "ann", sessionId: "d" }, turn("d"));
  expect([await store.sweep(2), await rows()]).toEqual([0, 1]);
  await close();
});

it("shows users their own sessions, and lets them forget those alone", async () => {
  const { store, close } = await openSessions();
  const { query } = shared.postgres.database;
  const [ann, ben] = ["00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"];
  for (const userId of [ann, ben, "anonymous"])
    for (const sessionId of ["lake", "hill"]) await store.append({ userId, sessionId }, turn(`${userId} ${sessionId}`));
  const { transaction } = shared.postgres.api;
  const as = <Answer>(userId: string | null, body: (ask: typeof query) => Promise<Answer>) =>
    transaction(async (ask) => {
      await ask("set local role authenticated");
      const claims = userId === null ? {} : { sub: userId, role: "authenticated" };
      await ask("select set_config('request.jwt.claims', $1, true)", [JSON.stringify(claims)]);
      return await body(ask);
    });
  const seen = "select session_id from public.ourvidz_chat_sessions order by 1";
  expect(await as(ann, (ask) => ask(seen))).toEqual([{ session_id: "hill" }, { session_id: "lake" }]);
  expect(await as(ann, (ask) => ask("select public.forget_my_chat_sessions('lake') as forgotten"))).toEqual([
    { forgotten: 1 },
  ]);
  expect(await as(ann, (ask) => ask("select public.forget_my_chat_sessions() as forgotten"))).toEqual([
    { forgotten: 1 },
  ]);
  expect(await store.read({ userId: ann, sessionId: "hill" })).toBeNull();
  expect(await store.read({ userId: ben, sessionId: "lake" })).not.toBeNull();
  expect(await store.read({ userId: "anonymous", sessionId: "lake" })).not.toBeNull();
  await expect(as(null, (ask) => ask("select public.forget_my_chat_sessions()"))).rejects.toThrow(
    "Nobody is signed in",
  );
  for (const forbidden of [
    `select public.forget_chat_sessions('${ben}', null)`,
    `select public.read_chat_session('${ben}', 'lake')`,
    "delete from ourvidz.chat_sessions",
  ])
    await expect(
      as(ann, (ask) => ask(forbidden)),
      forbidden,
    ).rejects.toThrow("permission denied");
  await close();
});
