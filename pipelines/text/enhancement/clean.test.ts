import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cleanEnhancement, isEnhanced } from "./clean.ts";

const idea = "a fox in the snow";
const prompt = "a red fox in deep snow at dawn, soft light, shallow depth of field";

const wrappings: Readonly<Record<string, string>> = {
  "as it is": prompt,
  "white space": `  \n${prompt} \n\n`,
  "straight quotes": `"${prompt}"`,
  "typographic quotes": `“${prompt}”`,
  "German quotes": `„${prompt}“`,
  guillemets: `«${prompt}»`,
  "single quotes": `'${prompt}'`,
  backticks: `\`${prompt}\``,
  "a label": `Enhanced prompt: ${prompt}`,
  "a label in a line of its own": `Enhanced Prompt:\n${prompt}`,
  "a label without a colon in a line of its own": `Enhanced Prompt\n${prompt}`,
  "a bold label": `**Enhanced Prompt:** ${prompt}`,
  "a bold label, colon outside": `**Prompt**: "${prompt}"`,
  "a heading": `## Improved image prompt\n\n${prompt}`,
  "a label with a remark": `Final prompt (48 words): ${prompt}`,
  "Stable Diffusion's label": `Stable Diffusion prompt: ${prompt}`,
  "an output label": `Output: ${prompt}`,
  "two labels": `Answer: Prompt: ${prompt}`,
  "a greeting": `Sure! Here's an enhanced prompt for you:\n\n"${prompt}"`,
  "a greeting with a typographic apostrophe": `Here’s the prompt: ${prompt}`,
  "a polite greeting": `Certainly! ${prompt}`,
  "a greeting in two sentences": `Of course! Here is a more detailed version of your prompt:\n${prompt}`,
  "what was done": `I've expanded your idea: ${prompt}`,
  "a remark below": `${prompt}\n\nThis prompt adds light and depth to your idea.`,
  "a remark behind quotes": `"${prompt}" This prompt adds light and depth.`,
  "a note": `${prompt}\n\nNote: I kept the fox as you wanted.`,
  "a note in brackets, one line below": `${prompt}\n(Note: 14 words)`,
  "an offer": `${prompt}\n\nLet me know if you would like changes!`,
  "several paragraphs about it": `${prompt}\n\nExplanation:\n- light\n\n- depth\n\nHope this helps!`,
  "a negative prompt below": `${prompt}\n\nNegative prompt: blurry, low quality`,
  "a negative prompt behind": `${prompt}. Negative prompt: blurry, low quality`,
  "options of another program": `${prompt} --ar 16:9 --v 6`,
  "a code block": `\`\`\`\n${prompt}\n\`\`\``,
  "a code block with a language and talk around": `Here you go:\n\n\`\`\`text\n${prompt}\n\`\`\`\nEnjoy!`,
  "an open code block": `\`\`\`\n${prompt}`,
  bold: `**${prompt}**`,
  italics: `*${prompt}*`,
  underlined: `__${prompt}__`,
  "a quotation": `> ${prompt}`,
  "a rule": `---\n${prompt}\n---`,
  "a single item": `- ${prompt}`,
  "numbered alternatives": `1. ${prompt}\n2. a fox that runs over a field of snow in the evening, wide shot`,
  "numbered alternatives with brackets": `Here are two prompts:\n\n1) ${prompt}\n\n2) a fox that sleeps under a fir tree in a winter wood`,
  "a thought": `<think>\nThe user wants a fox.\n\nSo I add light.\n</think>\n\n${prompt}`,
  "an empty thought": `<think>\n\n</think>\n\n${prompt}`,
  "the end of a thought": `so I add light.</think>${prompt}`,
  "a template's end": `${prompt}<|im_end|>\n<|im_start|>user\nthanks`,
  "a template's beginning": `<|im_start|>assistant\n${prompt}`,
  "the end of a text": `${prompt}<|endoftext|>`,
  "a next case": `${prompt}\n\nIdea: a bear\nPrompt: a brown bear`,
  "a next user": `${prompt}\nUser: now a bear`,
  "the idea in a line before": `${idea}\n\n${prompt}`,
  "the idea with other case and a full stop": `A fox in the snow.\n${prompt}`,
  "the idea before an arrow": `a fox in the snow → ${prompt}`,
  "the idea in quotes before an arrow": `"a fox in the snow" -> "${prompt}"`,
  "idea and prompt with labels": `Idea: ${idea}\nPrompt: ${prompt}`,
  "original and enhanced": `Original prompt: ${idea}\nEnhanced prompt: ${prompt}`,
  "invisible characters": `\uFEFF${prompt}\u200B`,
  "lines of Windows": `Prompt:\r\n${prompt}\r\n`,
  "a comma left over": `${prompt},`,
  "Llama's template": `<|start_header_id|>assistant<|end_header_id|>\n\n${prompt}<|eot_id|>`,
  html: `<p>${prompt}</p>`,
  "everything at once": `<think>hm</think>Sure! Here's the **enhanced prompt**:\n\n> "${prompt}"\n\nLet me know!<|im_end|>`,
};

describe("a prompt is freed of what a model puts around it", () => {
  it.each(Object.entries(wrappings))("%s", (_name, answer) => {
    expect(cleanEnhancement(answer, { idea })).toBe(prompt);
  });
});

it.each([
  ["", ""],
  ["  \n ", ""],
  ["...", ""],
  ['""', ""],
  ["Enhanced prompt:", ""],
  ["<think>The user wants a fox, so", ""],
  ["<|im_end|>", ""],
  ["```\n```", ""],
  ["(sky:1.2), a_snake_case word, 2 * 3 * 4", "(sky:1.2), a_snake_case word, 2 * 3 * 4"],
  ['"Old Joe" on a sign above a bar, neon', '"Old Joe" on a sign above a bar, neon'],
  ["'tis the season, a fox's den in winter", "'tis the season, a fox's den in winter"],
  ["a fox\n- low light\n- long lens.\n- **Mood:** quiet", "a fox, low light, long lens, quiet"],
  ["- Subject: a fox\n- Light: dawn", "a fox, dawn"],
  ["a fox in the snow\nat dawn", "a fox in the snow, at dawn"],
  ["A fox runs.\n\nSnow falls.", "A fox runs. Snow falls."],
  ["a [fox](https://example.org/fox) at dawn", "a fox at dawn"],
  ["a fox [red] (small) at dawn", "a fox [red] (small) at dawn"],
  ["Okapi in a forest, morning", "Okapi in a forest, morning"],
  ["Yesterday's newspaper on a table", "Yesterday's newspaper on a table"],
  ["Prompt delivery: a van at a door", "Prompt delivery: a van at a door"],
  ["the output of a mill, sacks of flour", "the output of a mill, sacks of flour"],
  ["a lighthouse. This light turns slowly", "a lighthouse. This light turns slowly"],
  ["a great wall in the hills", "a great wall in the hills"],
  ["a house to live in", "a house to live in"],
  ["eine Füchsin im Schnee, früher Morgen", "eine Füchsin im Schnee, früher Morgen"],
  ["雪の中の赤い狐、夜明け", "雪の中の赤い狐、夜明け"],
])("%j becomes %j", (answer, expected) => {
  expect(cleanEnhancement(answer)).toBe(expected);
});

it("keeps an answer that goes on from the idea", () => {
  expect(cleanEnhancement("a fox in the snow, dawn", { idea })).toBe("a fox in the snow, dawn");
  expect(cleanEnhancement("a fox in the snow", { idea })).toBe("a fox in the snow");
});

it.each([
  ["a fox runs. snow falls on the", "a fox runs."],
  ["a fox in the snow, soft light, shallow dep", "a fox in the snow, soft light"],
  ["a fox in the sn", "a fox in the sn"],
  ["a fox runs. It stops, and snow falls over the hills and far away into the", "a fox runs. It stops"],
  ["a fox in the snow.", "a fox in the snow."],
  ["a house to live in", "a house to live"],
])("of an answer that was cut, %j, the half sentence goes", (answer, expected) => {
  expect(cleanEnhancement(answer, { isCut: true })).toBe(expected);
});

const words = fc.constantFrom("fox", "snow", "light", "at", "dawn,", "soft", "red.", "lens", "tree", "Prompt:", "note");
const marks = fc.constantFrom(
  "\n",
  " ",
  '"',
  "**",
  "- ",
  "1. ",
  "```",
  "<think>",
  "</think>",
  "<|im_end|>",
  "“",
  "\n\n",
);
const answers = fc.oneof(
  fc.array(fc.oneof(words, words, marks), { maxLength: 40 }).map((parts) => parts.join(" ")),
  fc.array(fc.oneof(words, marks), { maxLength: 40 }).map((parts) => parts.join("")),
  fc.string({ unit: "grapheme", maxLength: 300 }),
);

describe("whatever a model answers", () => {
  it("cleaning twice is cleaning once", () => {
    fc.assert(
      fc.property(answers, fc.boolean(), (answer, isCut) => {
        const once = cleanEnhancement(answer, { idea, isCut });
        expect(cleanEnhancement(once, { idea })).toBe(once);
      }),
      { numRuns: 500 },
    );
  });

  it("the prompt is one trimmed line without marks of templates, and makes up nothing", () => {
    fc.assert(
      fc.property(answers, (answer) => {
        const clean = cleanEnhancement(answer, { idea });
        expect(clean).toBe(clean.replace(/\s+/gu, " ").trim());
        expect(clean).not.toMatch(/<\|im_end\|>|<\/?think>|```/);
        // Emphasis may end within a word.
        const letters = answer.replace(/[*_`]/g, "");
        for (const word of clean.match(/[\p{L}\p{N}]+/gu) ?? []) expect(letters).toContain(word);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    "<think>",
    "```",
    '"',
    "> ",
    "- ",
    "**",
    "a, ",
    "\n",
    " ",
    "Prompt: ",
    "note ",
    "Sure! ",
    "[a](",
    "<|im_end|>",
    "_",
    "negative prompt",
  ])("16,000 characters of %j take no time", (piece) => {
    const answer = piece.repeat(Math.ceil(16_000 / piece.length));
    const started = performance.now();
    cleanEnhancement(`${answer}a fox`, { idea, isCut: true });
    cleanEnhancement(`a fox ${answer}`, { idea, isCut: true });
    expect(performance.now() - started).toBeLessThan(1500);
  });
});

it.each([
  ["a fox", "a red fox at dawn", true],
  ["a fox", "A Fox.", false],
  ["a fox", '"a  fox"', false],
  ["a fox", "", false],
  ["a fox", " … ", false],
  ["ＡＢＣ", "abc", false],
  ["a fox", "a fox!?", false],
])("%j to %j is an enhancement: %s", (before, after, expected) => {
  expect(isEnhanced(before, after)).toBe(expected);
});
