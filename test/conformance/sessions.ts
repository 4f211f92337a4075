import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sessionLimits } from "#contract/chat-sessions.ts";
import type { NewTurn, SessionKey, SessionStore } from "#runtime/chat-sessions/session-store.ts";

/* The tests that every store of sessions passes: the contract of session-store.ts, sentence by sentence. */

export interface SessionHarness {
  readonly store: SessionStore;
  /** Another container's. */
  readonly other: SessionStore;
  /** Lets time go by for the store. */
  advance(ms: number): Promise<void>;
  /** Gives a user so many sessions of one turn, with ids of their own. */
  fill(userId: string, sessions: number): Promise<void>;
  /** Takes away all that is kept. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

const dayMs = 86_400_000;
const ann: SessionKey = { userId: "ann", sessionId: "lake" };

let count = 0;
function turn(prompt: string, more: Partial<NewTurn> = {}): NewTurn {
  const id = `turn-${++count}`;
  return { id, jobId: id, runId: "1", prompt, response: `${prompt}!`, ...more };
}

/** @param factory makes an empty store, anew for each test */
export function describeSessionStore(name: string, factory: () => Promise<SessionHarness>): void {
  describe(`${name}, as a store of sessions`, () => {
    let harness: SessionHarness;
    beforeEach(async () => {
      harness = await factory();
    });
    afterEach(() => harness.close());

    const promptsOf = async (session: SessionKey) =>
      (await harness.store.read(session))?.turns.map(({ prompt }) => prompt) ?? null;
    const addAll = async (session: SessionKey, prompts: readonly string[]) => {
      for (const prompt of prompts) await harness.store.append(session, turn(prompt));
    };

    it("knows no session that nothing was added to", async () => {
      expect(await harness.store.read(ann)).toBeNull();
      expect(await harness.store.forget(ann)).toBe(false);
      expect(await harness.store.forgetAll("ann")).toBe(0);
    });

    it("gives back what was added, to every container, with its time", async () => {
      const first = turn("a lake “at” dawn\n\\ 湖", { jobId: "job-1", runId: "run-1" });
      await harness.store.append(ann, first);
      await harness.advance(1000);
      await harness.other.append(ann, turn("and a swan 🦢"));
      const session = await harness.other.read(ann);
      expect(session?.turns).toEqual([
        { ...first, createdAtMs: expect.any(Number) },
        expect.objectContaining({ prompt: "and a swan 🦢", response: "and a swan 🦢!" }),
      ]);
      const [before, after] = session?.turns.map(({ createdAtMs }) => createdAtMs) ?? [];
      expect(Number(after) - Number(before)).toBeGreaterThanOrEqual(0);
      expect(session?.expiresAtMs).toBeGreaterThanOrEqual(Number(after) + dayMs);
    });

    it("keeps the last turns", async () => {
      const prompts = Array.from({ length: 12 }, (_, place) => `turn ${place}`);
      await addAll(ann, prompts);
      expect(await promptsOf(ann)).toEqual(prompts.slice(-10));
    });

    it("keeps as many of the last turns as have room", async () => {
      const large = "湖".repeat(Math.floor(sessionLimits.textBytes / 3));
      // Each has 65,532 bytes: four of them, and a small one, are less than 262,144.
      for (const digit of ["1", "2", "3", "4"])
        await harness.store.append(ann, turn(`${digit}${large.slice(1)}`, { response: large }));
      await addAll(ann, ["5"]);
      expect((await promptsOf(ann))?.map(([digit]) => digit)).toEqual(["1", "2", "3", "4", "5"]);
      await addAll(ann, ["x".repeat(100)]);
      expect((await promptsOf(ann))?.map(([digit]) => digit)).toEqual(["2", "3", "4", "5", "x"]);
    });

    it("forgets a session a day after its last turn", async () => {
      await addAll(ann, ["one"]);
      await harness.advance(dayMs - 5000);
      await addAll(ann, ["two"]);
      await harness.advance(dayMs - 5000);
      expect(await promptsOf(ann)).toEqual(["one", "two"]);
      await harness.advance(6000);
      expect(await promptsOf(ann)).toBeNull();
      expect(await harness.store.forget(ann)).toBe(false);
      await addAll(ann, ["three"]);
      expect(await promptsOf(ann)).toEqual(["three"]);
    });

    it("adds a turn once, however often the call is repeated", async () => {
      const one = turn("one");
      await harness.store.append(ann, one);
      await addAll(ann, ["two"]);
      await harness.store.append(ann, one);
      expect(await promptsOf(ann)).toEqual(["one", "two"]);
    });

    it("replaces what an earlier run of the same job has added", async () => {
      await harness.store.append(ann, turn("of another job"));
      await harness.store.append(ann, turn("first try", { jobId: "job", runId: "run-1" }));
      await addAll(ann, ["between"]);
      await harness.store.append(ann, turn("second try", { jobId: "job", runId: "run-2" }));
      await harness.store.append(ann, turn("more", { jobId: "job", runId: "run-2" }));
      expect(await promptsOf(ann)).toEqual(["of another job", "between", "second try", "more"]);
    });

    it("loses no turn of those that come at once, and keeps each whole", async () => {
      const prompts = Array.from({ length: 10 }, (_, place) => `at once ${place}`);
      await Promise.all(
        prompts.map((prompt, place) => (place % 2 ? harness.store : harness.other).append(ann, turn(prompt))),
      );
      const session = await harness.store.read(ann);
      expect(session?.turns.map(({ prompt }) => prompt).toSorted()).toEqual(prompts);
      for (const { prompt, response } of session?.turns ?? []) expect(response).toBe(`${prompt}!`);
    });

    it("forgets one session, or all of a user, and nobody else's", async () => {
      const bens: SessionKey = { ...ann, userId: "ben" };
      const hill = { ...ann, sessionId: "hill" };
      for (const session of [ann, hill, bens]) await addAll(session, ["one"]);
      expect(await harness.other.forget(ann)).toBe(true);
      expect([await promptsOf(ann), await promptsOf(hill), await promptsOf(bens)]).toEqual([null, ["one"], ["one"]]);
      await addAll(ann, ["anew"]);
      expect(await harness.store.forgetAll("ann")).toBe(2);
      expect([await promptsOf(ann), await promptsOf(hill), await promptsOf(bens)]).toEqual([null, null, ["one"]]);
    });

    it("takes the session that was not used for longest from a user who has too many", async () => {
      const bens: SessionKey = { ...ann, userId: "ben" };
      await addAll(ann, ["of long ago"]);
      await addAll(bens, ["of long ago"]);
      await harness.advance(1000);
      await harness.fill("ann", sessionLimits.sessions - 2);
      await addAll({ ...ann, sessionId: "last-with-room" }, ["one"]);
      expect(await promptsOf(ann)).toEqual(["of long ago"]);
      await addAll({ ...ann, sessionId: "too-many" }, ["one"]);
      expect([await promptsOf(ann), await promptsOf(bens)]).toEqual([null, ["of long ago"]]);
      expect(await harness.store.forgetAll("ann")).toBe(sessionLimits.sessions);
    });

    it("crosses no user and no session, whatever is done in which order", { timeout: 120_000 }, async () => {
      const check = async (steps: readonly Step[]) => {
        await harness.empty();
        const expected = new ExpectedSessions();
        for (const step of steps) expect(await taken(harness.store, step)).toBe(expected.take(step));
        for (const userId of users)
          for (const sessionId of sessionIds)
            expect(await promptsOf({ userId, sessionId })).toEqual(expected.promptsOf({ userId, sessionId }));
      };
      await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 20 }), check), { numRuns: 8 });
    });
  });
}

const users = ["a", "a-s", "anonymous"] as const;
const sessionIds = ["s", "a:s", "anonymous"] as const;
const step = fc.record({
  kind: fc.constantFrom("append", "append", "append", "forget", "forgetAll"),
  userId: fc.constantFrom(...users),
  sessionId: fc.constantFrom(...sessionIds),
});
interface Step extends SessionKey {
  readonly kind: string;
}

/** What a step answers, with the number of turns where it adds one. */
async function taken(store: SessionStore, { kind, userId, sessionId }: Step): Promise<unknown> {
  if (kind === "forget") return await store.forget({ userId, sessionId });
  if (kind === "forgetAll") return await store.forgetAll(userId);
  const before = (await store.read({ userId, sessionId }))?.turns.length ?? 0;
  await store.append({ userId, sessionId }, turn(`${userId} ${sessionId} ${before}`));
  return before;
}

/** The same in a map of texts. */
class ExpectedSessions {
  readonly #sessions = new Map<string, Map<string, string[]>>();

  take({ kind, userId, sessionId }: Step): unknown {
    const own = this.#sessions.get(userId) ?? new Map<string, string[]>();
    this.#sessions.set(userId, own);
    if (kind === "forget") return own.delete(sessionId);
    if (kind === "forgetAll") {
      this.#sessions.delete(userId);
      return own.size;
    }
    const prompts = own.get(sessionId) ?? [];
    own.set(sessionId, [...prompts, `${userId} ${sessionId} ${prompts.length}`].slice(-sessionLimits.turns));
    return prompts.length;
  }

  promptsOf({ userId, sessionId }: SessionKey): readonly string[] | null {
    return this.#sessions.get(userId)?.get(sessionId) ?? null;
  }
}
