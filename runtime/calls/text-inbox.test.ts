import { expect, it } from "vitest";
import { TextInbox } from "./text-inbox.ts";

async function rest(inbox: TextInbox): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of inbox) pieces.push(piece);
  return pieces;
}

it("joins what a slow reader has not taken, and ends after the rest", async () => {
  const inbox = new TextInbox();
  const reader = inbox[Symbol.asyncIterator]();
  const first = reader.next();
  inbox.push("a");
  expect(await first).toEqual({ done: false, value: "a" });
  for (let piece = 0; piece < 1000; piece++) inbox.push("b");
  expect(await reader.next()).toEqual({ done: false, value: "b".repeat(1000) });
  const waiting = reader.next();
  inbox.push("c");
  inbox.close();
  inbox.push("too late");
  expect(await waiting).toEqual({ done: false, value: "c" });
  expect(await reader.next()).toEqual({ done: true, value: undefined });
});

it("gives the reader what was written before it failed, and then the error", async () => {
  const inbox = new TextInbox();
  inbox.push("a");
  inbox.fail(new Error("no more words"));
  inbox.fail(new Error("a later one"));
  const reader = inbox[Symbol.asyncIterator]();
  expect(await reader.next()).toEqual({ done: false, value: "a" });
  await expect(reader.next()).rejects.toThrow("no more words");
  const closed = new TextInbox();
  closed.close();
  expect(await rest(closed)).toEqual([]);
});
