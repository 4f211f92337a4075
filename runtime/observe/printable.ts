/** What a terminal would obey, or show other than it stands: control codes but for tab and line break, and bidirectional controls. */
const unsafe = /(?![\n\t])[\p{Cc}\u2028\u2029\p{Bidi_Control}]/gu;
const escapeCode = "\u001b";
/** The colours that `styleText` writes, which are this program's own, after their first two characters. */
const ownStyle = /^(?:0|1|2|22|3[1-79]|90)m/;

/** The text as a terminal may have it: what would steer the terminal is shown as `\x1b`, `\u202e`. Colours stay. */
export function printable(text: string): string {
  return text.replace(unsafe, (found, at: number) => {
    const isOwn = found === escapeCode && text[at + 1] === "[" && ownStyle.test(text.slice(at + 2, at + 5));
    return isOwn ? found : shown(found);
  });
}

/** The same JSON, with nothing in it that a terminal would obey. */
export function printableJson(json: string): string {
  return json.replace(unsafe, (found) => `\\u${codeOf(found).padStart(4, "0")}`);
}

function shown(character: string): string {
  const code = codeOf(character);
  return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
}

function codeOf(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16);
}
