import { beforeAll, describe, expect, it } from "vitest";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { ClipTokenizer } from "../clip-tokenizer.ts";
import { chunkFragments } from "./weighted-chunks.ts";

let tokenizer: ClipTokenizer;
beforeAll(async () => {
  tokenizer = await ClipTokenizer.load(`${tinySdxl}/tokenizer`);
});

/** The tokens of each chunk between its begin and end. */
function wordsOf(text: string): string[] {
  const { ids, count } = chunkFragments([{ text, weight: 1 }], tokenizer);
  const { maxLength, beginId, endId } = tokenizer;
  return Array.from({ length: count }, (_, chunk) => {
    const row = [...ids.subarray(chunk * maxLength, (chunk + 1) * maxLength)];
    expect(row[0]).toBe(beginId);
    const end = row.indexOf(endId);
    return row
      .slice(1, end)
      .map((id) => tokenizer.tokenOf(id))
      .join("")
      .replaceAll("</w>", " ")
      .trim();
  });
}

describe("chunkFragments", () => {
  it("makes one chunk of an empty text", () => {
    expect(wordsOf("")).toEqual([""]);
    expect(chunkFragments([], tokenizer)).toMatchObject({ count: 1, tokenCount: 0, lowered: [] });
  });

  it("splits after the last full stop, else after a comma, else after a word, else anywhere", () => {
    const red = (times: number) => Array(times).fill("berry").join(" ");
    expect(wordsOf(`${red(10)}. ${red(20)}. ${red(40)}, ${red(30)}`)).toEqual([
      `${red(10)} . ${red(20)} .`,
      `${red(40)} , ${red(30)}`,
    ]);
    expect(wordsOf(`${red(40)}, ${red(30)}; ${red(30)}`)).toEqual([`${red(40)} , ${red(30)} ;`, red(30)]);
    expect(wordsOf(red(80))).toEqual([red(75), red(5)]);
    expect(wordsOf("zq".repeat(100)).join("")).toBe("zq".repeat(100));
  });

  it("gives every token its fragment's weight, and says where the lowered ones stand", () => {
    const { weights, lowered, tokenCount } = chunkFragments(
      [
        { text: "berry berry", weight: 1.5 },
        { text: "", weight: 0.1 },
        { text: "ark", weight: 0.25 },
      ],
      tokenizer,
    );
    expect([...weights.subarray(0, 6)]).toEqual([1, 1.5, 1.5, 0.25, 1, 1]);
    expect(lowered).toEqual([{ from: 3, to: 3, weight: 0.25 }]);
    expect(tokenCount).toBe(3);
  });
});
