/*
 * How much one JSON text may hold, counted before it is parsed: parsing, checking and copying take a time that grows with
 * the number of values, and are done more than once. A text of a few megabytes can have a million of them.
 */
export interface JsonLimits {
  /** In all: what stands in lists and objects, and these themselves. */
  readonly values: number;
  /** In one object. */
  readonly names: number;
  /** Lists and objects inside of each other. */
  readonly levels: number;
}

/** Far above any job, any command line of it, and any small question. */
export const jobLimits: JsonLimits = { values: 10_000, names: 1_000, levels: 32 };

/**
 * What a container reports of a job, which is up to a hundred files with their metadata. It is signed, and is never refused
 * for what the container may accept of a handler.
 */
export const callbackLimits: JsonLimits = { values: 100_000, names: 10_000, levels: 72 };

/** `message` is the end of a sentence that begins with the name of what is too much. */
export interface Excess {
  readonly of: keyof JsonLimits;
  readonly message: string;
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openList = 0x5b;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

/**
 * Why a JSON text is too much to be parsed; null when it is not. One pass over the text, which need not be JSON, and nothing
 * is made.
 */
export function excessOf(json: string, limits: JsonLimits): Excess | null {
  const names = new Uint32Array(limits.levels + 1);
  let values = 1;
  let level = 0;
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case quote:
        at = endOfText(json, at) - 1;
        break;
      case comma:
        if (++values > limits.values) return tooMany("values", limits.values);
        break;
      case colon:
        names[level] = (names[level] ?? 0) + 1;
        if ((names[level] ?? 0) > limits.names) return tooMany("names", limits.names);
        break;
      case openList:
      case openObject:
        if (++values > limits.values) return tooMany("values", limits.values);
        if (++level > limits.levels) return { of: "levels", message: `is nested deeper than ${limits.levels} levels` };
        names[level] = 0;
        break;
      case closeList:
      case closeObject:
        if (level > 0) level--;
        break;
    }
  }
  return null;
}

function tooMany(of: "values" | "names", limit: number): Excess {
  // Not `toLocaleString`, which loads the tables of all languages.
  const shown = String(limit).replace(/\B(?=(\d{3})+$)/g, ",");
  return { of, message: `has more than ${shown} ${of === "names" ? "names in one object" : of}` };
}

/** The place after the quote that ends the text which begins at `open`; the end of the JSON when none does. */
export function endOfText(json: string, open: number): number {
  for (let close = json.indexOf('"', open + 1); close !== -1; close = json.indexOf('"', close + 1)) {
    let first = close;
    while (json[first - 1] === "\\") first--;
    // After an odd number of backslashes the quote is a part of the text.
    if ((close - first) % 2 === 0) return close + 1;
  }
  return json.length;
}
