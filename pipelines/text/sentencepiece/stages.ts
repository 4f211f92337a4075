import { z } from "zod";
import { Charsmap } from "./charsmap.ts";

/** What a tokenizer.json does to a text before it is split into pieces. */
export type TextStage = (text: string) => string;

const pattern = z.union([z.object({ Regex: z.string() }), z.object({ String: z.string() })]);

const normalizer = z.discriminatedUnion("type", [
  z.object({ type: z.literal("Precompiled"), precompiled_charsmap: z.string() }),
  z.object({ type: z.literal("Replace"), pattern, content: z.string() }),
  z.object({ type: z.enum(["NFC", "NFD", "NFKC", "NFKD"]) }),
  z.object({ type: z.literal("Lowercase") }),
  z.object({ type: z.literal("Strip"), strip_left: z.boolean().default(true), strip_right: z.boolean().default(true) }),
]);

/** One normaliser or several, one after another. */
export const normalizerDefinition = z
  .union([
    normalizer.transform((one) => [one]),
    z.object({ type: z.literal("Sequence"), normalizers: z.array(normalizer) }).transform((all) => all.normalizers),
  ])
  .nullable()
  .default(null);

const metaspace = z.object({
  type: z.literal("Metaspace"),
  replacement: z.string().length(1).default("▁"),
  prepend_scheme: z.enum(["always", "first", "never"]).default("always"),
  split: z.boolean().default(true),
});

/** Words: at blanks, which become a mark at the beginning of the next one. */
export const preTokenizerDefinition = z.union([
  metaspace.transform((marks) => ({ splitsAtSpace: false, marks })),
  z
    .object({
      type: z.literal("Sequence"),
      pretokenizers: z.tuple([z.object({ type: z.literal("WhitespaceSplit") }), metaspace]),
    })
    .transform(({ pretokenizers: [, marks] }) => ({ splitsAtSpace: true, marks })),
]);

export function textStages(definition: z.output<typeof normalizerDefinition>): TextStage[] {
  return (definition ?? []).map(toStage);
}

function toStage(one: z.output<typeof normalizer>): TextStage {
  switch (one.type) {
    case "Precompiled": {
      const charsmap = new Charsmap(one.precompiled_charsmap);
      return (text) => charsmap.normalize(text);
    }
    case "Replace": {
      const wanted = "Regex" in one.pattern ? new RegExp(one.pattern.Regex, "gu") : one.pattern.String;
      return (text) => text.replaceAll(wanted, () => one.content);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return (text) => text.normalize(one.type);
    case "Lowercase":
      // Letter by letter, as the reference does it: JavaScript would turn a capital sigma at a word's end into ς.
      return (text) => text.replaceAll("Σ", "σ").toLowerCase();
    case "Strip":
      return (text) => {
        const left = one.strip_left ? text.replace(/^\p{White_Space}+/u, "") : text;
        return one.strip_right ? left.replace(/\p{White_Space}+$/u, "") : left;
      };
  }
}

/** The words of a text, each with its mark. */
export function splitIntoWords(
  text: string,
  isFirst: boolean,
  { splitsAtSpace, marks }: z.output<typeof preTokenizerDefinition>,
): string[] {
  const sections = splitsAtSpace ? text.split(/\p{White_Space}+/u).filter((section) => section !== "") : [text];
  return sections.flatMap((section, index) => {
    const { replacement, prepend_scheme, split } = marks;
    const marked = section.replaceAll(" ", replacement);
    const isWanted = prepend_scheme === "always" || (prepend_scheme === "first" && isFirst && index === 0);
    const whole = isWanted && !marked.startsWith(replacement) ? replacement + marked : marked;
    return split ? whole.split(new RegExp(`(?=${RegExp.escape(replacement)})`, "u")) : [whole];
  });
}
