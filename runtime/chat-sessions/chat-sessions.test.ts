import { expect, it } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { ChatSessions } from "./chat-sessions.ts";
import type { NewTurn, SessionStore } from "./session-store.ts";

const ann = { userId: "ann", sessionId: "lakes" };
const by = { jobId: "job", runId: "run" };

/** What cannot be reached, but for what is given. */
function storeOf(own: Partial<SessionStore>): SessionStore {
  const away = async () => {
    throw new CodedError("QUEUE_UNREACHABLE", "Redis cannot be reached.");
  };
  return { read: away, append: away, forget: away, forgetAll: away, sweep: away, ...own };
}

it("keeps of a text what has room, and nothing that a database cannot keep", async () => {
  const added: NewTurn[] = [];
  const sessions = new ChatSessions(storeOf({ append: async (_, turn) => void added.push(turn) }));
  const short = await sessions.remember(ann, { prompt: "a\0b", response: `x${"\ud800"}`, ...by });
  const long = await sessions.remember(ann, { prompt: "a lake", response: "湖".repeat(20_000), ...by });
  expect([short, long]).toEqual([{ isCut: false }, { isCut: true }]);
  expect(added).toMatchObject([
    { prompt: "a\ufffdb", response: "x\ufffd", ...by },
    { prompt: "a lake", response: "湖".repeat(10_922), ...by },
  ]);
  expect(added[0]?.id).not.toBe(added[1]?.id);
});

it.each([
  ["read", (sessions: ChatSessions) => sessions.read(ann)],
  ["remember", (sessions: ChatSessions) => sessions.remember(ann, { prompt: "a", response: "b", ...by })],
  ["forget", (sessions: ChatSessions) => sessions.forget(ann)],
  ["forgetAll", (sessions: ChatSessions) => sessions.forgetAll("ann")],
  ["sweep", (sessions: ChatSessions) => sessions.sweep()],
])("says when to try again where the store cannot be reached (%s)", async (_, call) => {
  await expect(call(new ChatSessions(storeOf({})))).rejects.toMatchObject({
    code: "SESSIONS_UNREACHABLE",
    delaySeconds: 10,
    details: { code: "QUEUE_UNREACHABLE" },
    message: expect.stringMatching(/Redis cannot be reached\. Try again in 10 s, or leave metadata\.session_id out/),
  });
});

it("sweeps until nothing is left, and not for ever", async () => {
  const left = [500, 500, 3, 7];
  let calls = 0;
  const sweep = async (max: number) => {
    calls += 1;
    return Math.min(max, left.shift() ?? 0);
  };
  expect([await new ChatSessions(storeOf({ sweep })).sweep(), calls]).toEqual([1003, 3]);
  const endless = new ChatSessions(storeOf({ sweep: async (max) => max }));
  expect(await endless.sweep()).toBe(100_000);
});

it("does not wait for a store that hangs", async () => {
  const hanging = storeOf({ read: () => new Promise(() => undefined) });
  await expect(new ChatSessions(hanging, 10).read(ann)).rejects.toMatchObject({
    code: "SESSIONS_UNREACHABLE",
    message: expect.stringContaining("it did not answer within 0.01 s."),
  });
});
