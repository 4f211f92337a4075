import { createClient } from "redis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { startRedis, type TestRedis } from "#test/support/redis.ts";
import { type Subscriber, Subscriptions } from "./subscriptions.ts";

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const open = async () => new Subscriptions(redis.url, await createLogger({ level: "silent", format: "json" }));
const admin = () => createClient({ url: redis.url }).connect();

function subscriber(): Subscriber & { readonly ended: Promise<void>; readonly texts: string[] } {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const texts: string[] = [];
  return { ended, texts, end, message: (_channel, text) => texts.push(text.toString()) };
}

test("a Redis that hangs loses the subscriptions", async () => {
  const subscriptions = await open();
  const client = await admin();
  const listening = subscriber();
  await subscriptions.add("subscribe", "chat", listening);
  await subscriptions.check(5_000);
  await client.sendCommand(["CLIENT", "PAUSE", "300", "ALL"]);
  await subscriptions.check(50);
  await listening.ended;
  await client.close();
  subscriptions.close();
});

test("what was waiting behind a lost subscription is lost with it", async () => {
  const subscriptions = await open();
  const client = await admin();
  await subscriptions.add("subscribe", "other", subscriber());
  await client.sendCommand(["CLIENT", "PAUSE", "300", "ALL"]);
  const adding = ["one", "two", "three"].map(() => subscriptions.add("subscribe", "chat", subscriber()));
  const outcomes = Promise.allSettled(adding);
  await subscriptions.check(50);
  expect((await outcomes).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  expect(await client.sendCommand(["PUBSUB", "NUMSUB", "chat"])).toEqual(["chat", 0]);
  const next = subscriber();
  await subscriptions.add("subscribe", "chat", next);
  await client.publish("chat", "hello");
  await expect.poll(() => next.texts).toEqual(["hello"]);
  await client.close();
  subscriptions.close();
});

test("a subscription that Redis does not allow is refused in its words", async () => {
  const client = await admin();
  await client.sendCommand(["ACL", "SETUSER", "reader", "on", ">pass", "+@all", "resetchannels", "&jobs:*"]);
  const log = await createLogger({ level: "silent", format: "json" });
  const subscriptions = new Subscriptions(redis.url.replace("redis://", "redis://reader:pass@"), log);
  await expect(subscriptions.add("subscribe", "chat", subscriber())).rejects.toThrow(/^NOPERM/);
  await subscriptions.add("subscribe", "jobs:1", subscriber());
  await client.close();
  subscriptions.close();
});
