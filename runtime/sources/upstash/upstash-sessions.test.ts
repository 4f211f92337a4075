import { expect, it } from "vitest";
import { describeSessionStore, type SessionHarness } from "#test/conformance/sessions.ts";
import { openHarness, useGateway } from "./testing/upstash-harness.ts";

const shared = useGateway();

/** Brings the moments nearer at which sessions expire, which is the same as letting time go by on the server. */
const hastenScript = `
  for _, key in ipairs(redis.call('KEYS', 'ourvidz:chat-*')) do
    local left = redis.call('PTTL', key) - ARGV[1]
    if redis.call('TYPE', key).ok == 'zset' then
      local entries = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
      for place = 1, #entries, 2 do
        redis.call('ZADD', key, string.format('%.0f', entries[place + 1] - ARGV[1]), entries[place])
      end
    end
    redis.call('PEXPIRE', key, left)
  end`;

const fillScript = `
  local time = redis.call('TIME')
  for place = 1, ARGV[1] do
    redis.call('ZADD', KEYS[1], string.format('%.0f', (time[1] + 86400) * 1000), 'filled-' .. place)
  end`;

async function openSessions(): Promise<SessionHarness> {
  const client = shared.gateway.client();
  const { source, second, close } = await openHarness(shared.gateway, { events: false });
  return {
    store: source.sessions,
    other: (await second()).source.sessions,
    advance: async (ms) => void (await client.eval(hastenScript, [], [ms])),
    fill: async (userId, sessions) =>
      void (await client.eval(fillScript, [`ourvidz:chat-sessions:${userId}`], [sessions])),
    empty: async () => void (await client.flushall()),
    close,
  };
}

describeSessionStore("upstash", openSessions);

const ann = { userId: "ann", sessionId: "lake" };
const turn = (id: string) => ({ id, jobId: id, runId: "1", prompt: id, response: "yes" });

it("forgets what is left of a user's sessions when the server has evicted the list of them", async () => {
  const { store, close } = await openSessions();
  await store.append(ann, turn("one"));
  await shared.gateway.client().del("ourvidz:chat-sessions:ann");
  expect(await store.read(ann)).toBeNull();
  await store.append(ann, turn("two"));
  expect((await store.read(ann))?.turns.map(({ prompt }) => prompt)).toEqual(["two"]);
  await close();
});

it("leaves nothing behind: what expires goes by itself, what is forgotten at once", async () => {
  const { store, advance, close } = await openSessions();
  const client = shared.gateway.client();
  await store.append(ann, turn("one"));
  await store.append({ ...ann, sessionId: "hill" }, turn("two"));
  await store.forgetAll("ann");
  expect(await client.keys("*")).toEqual([]);
  await store.append(ann, turn("three"));
  await advance(86_400_001);
  expect(await client.keys("*")).toEqual([]);
  await close();
});
