/** Letters of other alphabets that look like Latin ones. */
const lookalikes: Readonly<Record<string, string>> = {
  а: "a",
  е: "e",
  о: "o",
  р: "p",
  с: "c",
  у: "y",
  х: "x",
  і: "i",
  ѕ: "s",
  ԁ: "d",
  һ: "h",
  ո: "n",
  ν: "v",
  ο: "o",
  α: "a",
};
const digitsAsLetters: Readonly<Record<string, string>> = {
  0: "o",
  1: "i",
  3: "e",
  4: "a",
  5: "s",
  7: "t",
  "@": "a",
  $: "s",
  "!": "i",
};

/**
 * A text as words, in lower case, each between single spaces, so that it is compared by whole words. Accents,
 * invisible characters and lookalikes are resolved, and letters that were set apart (`a b c`, `a.b.c`) are joined.
 */
export function asWords(text: string): string {
  return ` ${joinLetters(plainLetters(text).match(word) ?? []).join(" ")} `;
}

/** The same, but what is joined by a sign within a word is one word. */
export function asJoinedWords(text: string): string {
  return asWords(plainLetters(text).replace(/(?<=\p{L})[._*~+-]{1,3}(?=\p{L})/gu, ""));
}

/** `@` and `$` also stand for letters where a word begins or ends; `!` there is a sign. */
const word = /[\p{L}\p{N}@$](?:[\p{L}\p{N}@$!]*[\p{L}\p{N}@$])?/gu;

function plainLetters(text: string): string {
  return withoutEntities(text)
    .normalize("NFKD")
    .replace(/[\p{M}\p{Cf}]/gu, "")
    .toLowerCase()
    .replace(/[^\x20-\x7e]/g, (letter) => lookalikes[letter] ?? letter);
}

/** Letters written as `&#97;` or `&#x61;`: pipelines read prompts as HTML, once or twice over. */
function withoutEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:amp;){0,2}#(?:x([0-9a-f]{1,6})|(\d{1,7}));?/gi, (entity, hex?: string, decimal?: string) => {
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : entity;
  });
}

/** The same words with digits read as the letters that they stand for: only where a word mixes both. */
export function withDigitsAsLetters(words: string): string {
  return words.replace(/\S+/g, (word) => {
    if (!/[0-9@$!]/.test(word) || !/\p{L}/u.test(word)) return word;
    return word.replace(/[013457@$!]/g, (digit) => digitsAsLetters[digit] ?? digit);
  });
}

function joinLetters(words: readonly string[]): string[] {
  const joined: string[] = [];
  let letters = "";
  const flush = () => {
    // Two letters by themselves are initials or an axis; three in a row spell something.
    if (letters.length >= 3) joined.push(letters);
    else joined.push(...letters);
    letters = "";
  };
  for (const word of words) {
    if (/^[\p{L}@$]$/u.test(word)) letters += word;
    else {
      flush();
      joined.push(word);
    }
  }
  flush();
  return joined;
}
