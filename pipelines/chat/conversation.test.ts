import { describe, expect, it } from "vitest";
import { fitConversation, fitText } from "./conversation.ts";
import type { ChatTurn } from "./request.ts";

/** A word is a token, and each message has one of the template's. */
const words = (text: string) => text.split(" ").filter((word) => word !== "").length;
const read: ChatTurn[][] = [];
const reader = {
  countTokens: words,
  async read(messages: readonly ChatTurn[]) {
    read.push([...messages]);
    return messages.flatMap(({ content }) => [0, ...Array.from({ length: words(content) }, () => 1)]);
  },
};

const system = { role: "system", content: "be kind" } as const;
const user = (content: string) => ({ role: "user", content }) as const;
const assistant = (content: string) => ({ role: "assistant", content }) as const;
const talk = [system, user("one two"), assistant("three four"), user("five"), assistant("six seven"), user("eight")];

it.each([
  [16, 0, 16],
  [15, 2, 10],
  [10, 2, 10],
  [9, 4, 5],
  [5, 4, 5],
])("with room for %i tokens lets %i messages go", async (room, droppedTurns, tokens) => {
  const fitted = await fitConversation(talk, room, reader);
  expect([fitted.droppedTurns, fitted.ids.length]).toEqual([droppedTurns, tokens]);
  expect(read.at(-1)?.slice(0, 2)).toEqual([system, talk[1 + droppedTurns]]);
});

it("keeps what follows the newest message of the user's", async () => {
  const messages = [user("one two three"), assistant("four"), user("five"), assistant("six")];
  expect(await fitConversation(messages, 4, reader)).toMatchObject({ droppedTurns: 2 });
});

it("refuses what cannot go", async () => {
  await expect(fitConversation(talk, 4, reader)).rejects.toMatchObject({
    code: "INVALID_JOB",
    message: "The system message and the newest turn have 5 tokens, and the model has room for 4: shorten them.",
  });
  await expect(fitConversation([user("a b c")], 3, reader)).rejects.toThrow("The newest turn has 4 tokens");
});

it("reads no more of a long conversation than may have room", async () => {
  const long = Array.from({ length: 1000 }, (_, index) => (index % 2 === 0 ? user("a b c") : assistant("d e f")));
  let counted = 0;
  read.length = 0;
  const counting = { ...reader, countTokens: (text: string) => words(text) + 0 * counted++ };
  const { droppedTurns } = await fitConversation([...long, user("g")], 50, counting);
  expect(droppedTurns).toBe(988);
  expect(counted).toBeLessThan(20);
  expect(read.length).toBeLessThan(5);
});

const numbers = new Map<string, number>();
/** Each word has a number of its own. */
function encode(text: string): number[] {
  const found = text.split(" ").filter((word) => word !== "");
  for (const word of found) if (!numbers.has(word)) numbers.set(word, numbers.size);
  return found.map((word) => numbers.get(word) ?? -1);
}

describe("a text", () => {
  const text = { lead: "be kind ", examples: ["one two ", "three four five ", "six "], prompt: "now" };

  it.each([
    [9, 0, 9],
    [8, 1, 7],
    [6, 2, 4],
    [4, 2, 4],
    [3, 3, 3],
  ])("with room for %i tokens lets %i examples go, the first ones first", (room, droppedExamples, tokens) => {
    const fitted = fitText(text, room, encode);
    expect(fitted).toEqual({
      ids: encode(`be kind ${text.examples.slice(droppedExamples).join("")}now`),
      droppedExamples,
    });
    expect(fitted.ids).toHaveLength(tokens);
  });

  it("is refused when it has no room without examples", () => {
    expect(() => fitText(text, 2, encode)).toThrow(
      expect.objectContaining({ code: "INVALID_JOB", message: expect.stringContaining("has 3 tokens") }),
    );
    expect(() => fitText({ prompt: " " }, 2, encode)).toThrow("The prompt is empty");
  });
});
