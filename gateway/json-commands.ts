import { excessOf, type JsonLimits } from "#contract/json-limits.ts";
import { type Argument, type Command, isCommand } from "./command.ts";
import { RestError } from "./rest-error.ts";

/** Far above what clients send at once; a megabyte can have a million arguments, over which nobody else is answered. */
const limits: JsonLimits = { values: 20_000, names: 1_000, levels: 32 };

/**
 * The body of `POST /`: `["SET", "key", "value", "EX", 100]`.
 *
 * @throws RestError 400 in Upstash's words
 */
export function parseCommand(body: Buffer): Command {
  return toCommand(parseArray(body));
}

/**
 * The body of `/pipeline` and `/multi-exec`: an array of commands.
 *
 * @throws RestError 400 when any command cannot be read: nothing is sent then
 */
export function parseCommands(body: Buffer): readonly Command[] {
  const commands = parseArray(body).map((row) => {
    if (!Array.isArray(row)) throw new RestError(400, "ERR expected JSON array");
    return toCommand(row);
  });
  if (commands.length === 0) throw new RestError(400, "ERR empty pipeline request");
  return commands;
}

function parseArray(body: Buffer): readonly unknown[] {
  if (body.length === 0) throw new RestError(400, "EOF");
  const text = body.toString();
  const excess = excessOf(text, limits);
  if (excess !== null) throw new RestError(excess.of === "levels" ? 400 : 413, `ERR the request ${excess.message}`);
  const plain = parseJson(text);
  const value = holdsInexactNumber(plain) ? parseJson(text, keepNumberText) : plain;
  if (!Array.isArray(value)) throw new RestError(400, "ERR expected JSON array");
  return value;
}

/** `context` is newer than TypeScript's declaration of JSON.parse, which an optional parameter still fits. */
type Reviver = (key: string, value: unknown, context?: { readonly source: string }) => unknown;

function parseJson(text: string, reviver?: Reviver): unknown {
  try {
    return JSON.parse(text, reviver);
  } catch {
    throw new RestError(400, "ERR failed to parse the request body as JSON");
  }
}

/** 12345678901234567890 and 0.10 are other texts once they have been JavaScript numbers. */
const keepNumberText: Reviver = (_key, value, context) => (typeof value === "number" ? context?.source : value);

function holdsInexactNumber(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsInexactNumber);
  return typeof value === "number" && !Number.isSafeInteger(value);
}

function toCommand(row: readonly unknown[]): Command {
  const words = row.map(toArgument);
  if (!isCommand(words)) throw new RestError(400, "ERR empty command");
  return words;
}

function toArgument(value: unknown): Argument {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === null) throw new RestError(400, "ERR null args are not supported");
  throw new RestError(400, `ERR unsupported arg type: ${Array.isArray(value) ? "array" : "object"}`);
}
