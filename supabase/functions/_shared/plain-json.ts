/*
 * Values from code that nobody can vouch for, on their way to where only JSON goes: another process, a queue, a database, a
 * callback. `requireJson` refuses what is not JSON and says where it stands; `safeJson` makes something of whatever it gets,
 * for errors and log lines, which must never be lost to what they carry. Neither changes what it is given.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** How deep JSON may be that a handler hands over: readers of it are recursive. */
const maxDepth = 64;
/** How many values, as many as a job may have; and how many characters in all texts and names. */
const maxValues = 10_000;
const maxCharacters = 1_000_000;

/** Says what is wrong with a value, and where: `metadata.seed: a BigInt is not JSON`. */
export class NotJsonError extends Error {
  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`);
    this.name = "NotJsonError";
  }
}

/**
 * A copy of the value, which is what `JSON.stringify` and `JSON.parse` would make of it, when both mean the same: what they
 * would leave out, replace or fail at is refused. Only an object's keys whose value is undefined are left out, and halves of
 * surrogate pairs become the replacement character.
 * @param path what the value is called, for the message
 * @throws NotJsonError
 */
export function requireJson(value: unknown, path: string): Json {
  return new Copy().of(value, path, []);
}

/** The same for a value that has to be an object; undefined is an empty one. @throws NotJsonError */
export function requireJsonObject(value: unknown, path: string): Readonly<Record<string, Json>> {
  const copy = value === undefined ? {} : requireJson(value, path);
  if (typeof copy === "object" && copy !== null && !isList(copy)) return copy;
  throw new NotJsonError(path, `must be an object, not ${nameOf(value)}`);
}

class Copy {
  #values = 0;
  #characters = 0;

  of(value: unknown, path: string, parents: readonly object[]): Json {
    try {
      return this.#any(value, path, parents);
    } catch (error) {
      if (error instanceof NotJsonError) throw error;
      // A proxy.
      throw new NotJsonError(path, "cannot be read");
    }
  }

  #any(value: unknown, path: string, parents: readonly object[]): Json {
    if (++this.#values > maxValues) throw new NotJsonError(path, `more than ${maxValues} values`);
    if (value === null || typeof value === "boolean") return value;
    if (typeof value === "string") return this.#text(value, path);
    if (typeof value === "number") {
      if (Number.isFinite(value)) return value;
      throw new NotJsonError(path, `${value} is not JSON: numbers must be finite`);
    }
    if (typeof value !== "object") throw new NotJsonError(path, `${nameOf(value)} is not JSON`);
    if (parents.includes(value)) throw new NotJsonError(path, "an object that contains itself is not JSON");
    if (parents.length >= maxDepth) throw new NotJsonError(path, `more than ${maxDepth} levels deep`);
    const inside = [...parents, value];
    // A hole is undefined, and refused with it.
    if (Array.isArray(value)) return Array.from(value, (entry, index) => this.of(entry, `${path}[${index}]`, inside));
    if (!isPlain(value)) throw new NotJsonError(path, `${nameOf(value)} is not JSON: use plain objects and lists`);
    return this.#object(value, path, inside);
  }

  #object(value: object, path: string, parents: readonly object[]): Json {
    const symbol = Object.getOwnPropertySymbols(value)[0];
    if (symbol !== undefined) throw new NotJsonError(path, `has the key ${String(symbol)}: a symbol is not JSON`);
    const entries = Object.keys(value).flatMap((name) => {
      const entryPath = `${path}.${shortText(name, 100)}`;
      const entry = read(value, name, entryPath);
      return entry === undefined ? [] : [[this.#text(name, path), this.of(entry, entryPath, parents)] as const];
    });
    return Object.fromEntries(entries);
  }

  #text(text: string, path: string): string {
    this.#characters += text.length;
    if (this.#characters > maxCharacters) throw new NotJsonError(path, `more than ${maxCharacters} characters`);
    return text.toWellFormed();
  }
}

function read(value: object, name: string, path: string): unknown {
  try {
    return Reflect.get(value, name);
  } catch {
    throw new NotJsonError(path, "cannot be read");
  }
}

export interface SafeLimits {
  /** Of all texts and names together. */
  readonly characters: number;
  readonly values: number;
  readonly depth: number;
}

const safeLimits: SafeLimits = { characters: 64_000, values: 10_000, depth: 16 };

/**
 * JSON that shows the value, whatever it is: what is not JSON is named (`[a function]`), what is too much is cut (`…`), what
 * throws when it is read says so. Never throws.
 */
export function safeJson(value: unknown, limits: SafeLimits = safeLimits): Json {
  return new Rendering(limits).of(value, []);
}

class Rendering {
  readonly #depth: number;
  #characters: number;
  #values: number;

  constructor({ characters, values, depth }: SafeLimits) {
    this.#characters = characters;
    this.#values = values;
    this.#depth = depth;
  }

  of(value: unknown, parents: readonly object[]): Json {
    if (--this.#values < 0) return "…";
    try {
      return this.#any(value, parents);
    } catch {
      return "[cannot be read]";
    }
  }

  #any(value: unknown, parents: readonly object[]): Json {
    if (value === null || typeof value === "boolean") return value;
    if (typeof value === "string") return this.#text(value);
    if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
    if (typeof value === "bigint") return this.#text(value.toString());
    if (typeof value !== "object") return this.#text(`[${nameOf(value)}]`);
    if (parents.includes(value)) return "[contains itself]";
    if (parents.length >= this.#depth) return "…";
    const inside = [...parents, value];
    if (Array.isArray(value)) return this.#list(value, inside);
    if (value instanceof Date) return this.#text(Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString());
    if (value instanceof Error) return this.#object({ ...value, name: value.name, message: value.message }, inside);
    if (isPlain(value)) return this.#object(value, inside);
    return this.#text(`[${nameOf(value)}]`);
  }

  #list(value: readonly unknown[], parents: readonly object[]): Json {
    const entries: Json[] = [];
    for (const entry of value) {
      if (this.#values <= 0) {
        entries.push("…");
        break;
      }
      entries.push(this.of(entry, parents));
    }
    return entries;
  }

  #object(value: object, parents: readonly object[]): Json {
    const entries: (readonly [string, Json])[] = [];
    for (const name of Object.keys(value)) {
      if (this.#values <= 0) {
        entries.push(["…", "…"]);
        break;
      }
      const entry = this.#read(value, name);
      if (entry !== undefined) entries.push([this.#text(name), this.of(entry, parents)]);
    }
    return Object.fromEntries(entries);
  }

  #read(value: object, name: string): unknown {
    try {
      return Reflect.get(value, name);
    } catch {
      return "[cannot be read]";
    }
  }

  #text(text: string): string {
    if (this.#characters <= 0 && text !== "") return "…";
    const kept = shortText(text, this.#characters);
    this.#characters -= text.length;
    return kept;
  }
}

/** The beginning of a text that is too long, with its length. */
export function shortText(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text.toWellFormed();
  return `${text.slice(0, maxLength).toWellFormed()}… (${text.length.toLocaleString("en-US")} characters)`;
}

function isList(value: object): value is readonly unknown[] {
  return Array.isArray(value);
}

/** Made by `{}`, by `Object.create(null)`, or by the like of another realm. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return true;
  return (
    typeof prototype === "object" &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, "isPrototypeOf")
  );
}

function nameOf(value: unknown): string {
  if (value === null) return "null";
  switch (typeof value) {
    case "undefined":
      return "undefined";
    case "bigint":
      return "a BigInt";
    case "object":
      return Array.isArray(value) ? "a list" : `a ${classOf(value)}`;
    default:
      return `a ${typeof value}`;
  }
}

function classOf(value: object): string {
  const made: unknown = Reflect.get(value, "constructor");
  return typeof made === "function" && made.name !== "" ? made.name.slice(0, 100) : "object";
}
