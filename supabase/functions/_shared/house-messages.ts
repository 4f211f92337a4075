import type { z } from "zod";
import { listed } from "./fields.ts";

/**
 * zod's default texts in this project's words, each the end of a sentence about a field (`steps is "a": must be a number`). A
 * schema's own message comes first.
 */
export function houseMessage(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return nouns[issue.expected] ?? `must be ${issue.expected}`;
    case "invalid_value":
      return `must be ${listed(issue.values.map((value) => (typeof value === "number" ? value : String(value))))}`;
    case "too_small":
      return `must ${issue.inclusive === false ? "be more than" : "be at least"} ${issue.minimum}${unitOf(issue.origin, issue.minimum)}`;
    case "too_big":
      return `must ${issue.inclusive === false ? "be less than" : "be at most"} ${issue.maximum}${unitOf(issue.origin, issue.maximum)}`;
    case "not_multiple_of":
      return `must be a multiple of ${issue.divisor}`;
    case "invalid_format":
      return formatMessage(issue);
    case "unrecognized_keys":
      return `has unknown keys: ${issue.keys.join(", ")}`;
    case "invalid_key":
      return "has a key that is not allowed";
    case "invalid_element":
      return "has an entry that is not allowed";
    case "custom":
      return "is not allowed";
    default:
      return undefined;
  }
}

const nouns: Readonly<Record<string, string>> = {
  string: "must be a text",
  number: "must be a number",
  int: "must be a whole number",
  bigint: "must be a whole number (a BigInt)",
  boolean: "must be true or false",
  array: "must be a list",
  tuple: "must be a list",
  object: "must be an object",
  record: "must be an object",
  map: "must be a Map",
  set: "must be a Set",
  date: "must be a date",
  file: "must be a file",
  function: "must be a function",
  null: "must be null",
  // What zod calls a value that must be there, and one that must not.
  nonoptional: "must be given",
  undefined: "must be left out",
  void: "must be left out",
  never: "must be left out",
};

const formats: Readonly<Record<string, string>> = {
  url: "must be an address, for example https://example.com/path",
  email: "must be an email address, for example ann@example.com",
  uuid: "must be a UUID, for example 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111",
  guid: "must be a UUID, for example 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111",
  datetime: "must be a time, for example 2026-11-28T12:00:00Z",
  date: "must be a date, for example 2026-11-28",
  time: "must be a time of day, for example 12:00:00",
  duration: "must be a duration, for example PT15M",
  json_string: "must be JSON",
  lowercase: "must be in lower case",
  uppercase: "must be in upper case",
};

function formatMessage(issue: Extract<z.core.$ZodRawIssue, { readonly code: "invalid_format" }>): string {
  const part = (name: "prefix" | "suffix" | "includes") => JSON.stringify(issue[name]);
  switch (issue.format) {
    case "starts_with":
      return `must begin with ${part("prefix")}`;
    case "ends_with":
      return `must end with ${part("suffix")}`;
    case "includes":
      return `must contain ${part("includes")}`;
    case "regex":
      return `must match ${String(issue.pattern)}`;
    default:
      return formats[issue.format] ?? `must be of the form ${issue.format}`;
  }
}

function unitOf(origin: string, count: number | bigint): string {
  const plural = Number(count) === 1 ? "" : "s";
  if (origin === "string") return ` character${plural} long`;
  if (origin === "array") return Number(count) === 1 ? " entry long" : " entries long";
  return "";
}
