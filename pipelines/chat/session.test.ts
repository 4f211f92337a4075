import { expect, it } from "vitest";
import type { ChatTurn } from "./request.ts";
import { hasAnswers, newestQuestion, readReport, withEarlier } from "./session.ts";

const user = (content: string): ChatTurn => ({ role: "user", content });
const assistant = (content: string): ChatTurn => ({ role: "assistant", content });
const system = (content: string): ChatTurn => ({ role: "system", content });
const turns = [{ prompt: "a lake", response: "blue" }];

it.each<[string, ChatTurn[], string]>([
  ["one message", [system("be kind"), user("a lake")], "a lake"],
  ["several of the user's", [user("a lake"), system("be kind"), user("at dawn")], "a lake\n\nat dawn"],
  ["a conversation", [user("a lake"), assistant("blue"), user("and a swan"), user("white")], "and a swan\n\nwhite"],
  ["an answer that was begun", [user("a lake"), assistant("blue"), user("a hill"), assistant("It")], "a hill"],
])("of %s takes the newest question", (_, messages, question) => {
  expect(newestQuestion(messages)).toBe(question);
});

it("puts turns behind the system's message, and a text into it", () => {
  const messages = [system("be kind"), user("a swan")];
  expect(withEarlier(messages, { turns })).toEqual([
    system("be kind"),
    user("a lake"),
    assistant("blue"),
    user("a swan"),
  ]);
  const context = "It is winter.";
  expect(withEarlier(messages, { turns: [], context })).toEqual([
    system("be kind\n\nWhat was said before:\nIt is winter."),
    user("a swan"),
  ]);
  expect(withEarlier([user("a swan")], { turns: [], context })[0]).toEqual(
    system("What was said before:\nIt is winter."),
  );
  expect(withEarlier([user("a swan")], { turns: [] })).toEqual([user("a swan")]);
});

it("takes messages with an answer for a whole conversation", () => {
  expect([hasAnswers([system("be kind"), user("a lake")]), hasAnswers([user("a lake"), assistant("blue")])]).toEqual([
    false,
    true,
  ]);
});

it.each([
  [0, 0, 3, 0],
  [2, 0, 2, 1],
  [3, 0, 1, 2],
  [8, 0, 0, 3],
  [3, 4, 3, 0],
  [6, 4, 2, 1],
])("counts %i messages that had no room, after %i others, as turns", (dropped_turns, before, read, dropped) => {
  const three = [...turns, ...turns, ...turns];
  expect(readReport({ metadata: { dropped_turns } }, three, before)).toEqual({
    session_turns: read,
    session_turns_dropped: dropped,
  });
});
