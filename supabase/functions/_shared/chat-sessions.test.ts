import { describe, expect, it } from "vitest";
import { chatJob, chatRequest } from "./chat.ts";
import { cutToBytes, sessionId } from "./chat-sessions.ts";

describe("a session's id", () => {
  it.each(["a", "7", "6f0b2c1e-0000-4000-8000-000000000001", "panel:3.lakes_2", "x".repeat(128)])("may be %s", (id) => {
    expect(sessionId.parse(id)).toBe(id);
  });

  it.each(["", ".", "..", ":a", "-a", "a b", "a/b", "a\n", "ä", "x".repeat(129)])("may not be %j", (id) => {
    expect(sessionId.safeParse(id).success).toBe(false);
  });
});

it.each([
  ["", 3, ""],
  ["abcd", 4, "abcd"],
  ["abcd", 3, "abc"],
  ["aé", 2, "a"],
  ["湖湖", 5, "湖"],
  ["a🦢b", 4, "a"],
  ["a🦢b", 5, "a🦢"],
])("%j cut to %i bytes is %j", (text, bytes, expected) => {
  expect(cutToBytes(text, bytes)).toBe(expected);
});

it("a message that would not be remembered whole is refused in a session, and no other", () => {
  const messages = (content: string, role = "user") => [
    { role: "user", content: "a lake" },
    { role, content },
  ];
  const metadata = { session_id: "lakes" };
  const long = "é".repeat(16_385);
  const isTaken = (request: object) => [
    chatRequest.safeParse(request).success,
    chatJob.safeParse({ id: "1", type: "chat", ...request }).success,
  ];
  expect(isTaken({ metadata, messages: messages(long) })).toEqual([false, false]);
  expect(isTaken({ metadata, messages: messages(long.slice(1)) })).toEqual([true, true]);
  expect(isTaken({ messages: messages(long) })).toEqual([true, true]);
  expect(isTaken({ metadata, messages: messages(long, "system") })).toEqual([true, true]);
  const [issue] = chatRequest.safeParse({ metadata, messages: messages(long) }).error?.issues ?? [];
  expect(issue?.path).toEqual(["messages"]);
  expect(issue?.message).toMatch(/^must have at most 32,768 bytes of UTF-8 in each message of the user's/);
});
