import { asJoinedWords, asWords, withDigitsAsLetters } from "./normalize.ts";
import { defaultTerms, type MinorsTerms } from "./terms.ts";
import type { JobTexts } from "./texts.ts";

const numbers =
  "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen";
const underAge = `(?:1[0-7]|[1-9]|${numbers})`;
const grades =
  "(?:[1-9]|1[0-2])(?:st|nd|rd|th)|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth";

/** Ages and school years that say that somebody is under 18. */
const ages = [
  new RegExp(`(?<= )${underAge} ?(?:yo|y o|(?:years?|yrs?|yr) ?(?:olds?|of age|young))(?= )`),
  new RegExp(`(?<= )(?:age|aged|ages|turning) (?:of )?${underAge}(?= )`),
  new RegExp(`(?<= )(?:${grades}) ?grade(?:r|rs)?(?= )`),
];

/**
 * The rule that refuses sexual content that involves minors: true for a request in whose texts both are named, wherever
 * each of them stands. A negative prompt that keeps one of the two out asks for the opposite and is no ground to refuse;
 * one that keeps out grown-ups, or clothes, is.
 *
 * It reads words and not what is meant: it refuses too much rather than too little, and it is no replacement for looking
 * at the pictures.
 */
export function createMinorsRule(terms: MinorsTerms = defaultTerms): (texts: JobTexts) => boolean {
  const [minors, sexual, adulthood, clothing] = [terms.minors, terms.sexual, terms.adulthood, terms.clothing].map(
    matcher,
  );
  return ({ wanted, unwanted }) => {
    const [requested, keptOut] = [views(wanted), views(unwanted)];
    const mentions = (matches: RegExp | undefined, where: readonly string[]) =>
      where.some((view) => matches?.test(view) ?? false);
    const namesMinors = mentions(minors, requested) || ages.some((age) => mentions(age, requested));
    const namesSexual = mentions(sexual, requested);
    if (namesMinors && namesSexual) return true;
    return (namesSexual && mentions(adulthood, keptOut)) || (namesMinors && mentions(clothing, keptOut));
  };
}

/** Each spelling of the texts that is looked at. */
function views(texts: readonly string[]): string[] {
  const text = texts.join("\n");
  const [words, joined] = [asWords(text), asJoinedWords(text)];
  return [...new Set([words, joined, withDigitsAsLetters(words), withDigitsAsLetters(joined)])];
}

function matcher(terms: readonly string[]): RegExp {
  const patterns = terms.map((term) => (term.endsWith("*") ? `${term.slice(0, -1)}[^ ]*` : `${term}(?:s|es)?`));
  // An empty list matches nothing.
  return patterns.length === 0 ? /(?!)/ : new RegExp(`(?<= )(?:${patterns.join("|")})(?= )`);
}
