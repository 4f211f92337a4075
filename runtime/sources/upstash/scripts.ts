import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** Each operation of the source is one file of `scripts/`. */
export const scriptNames = [
  "append-turn",
  "cancel",
  "cancelled",
  "complete",
  "dead-letter",
  "dead-letters",
  "discard",
  "discard-letters",
  "enqueue",
  "fail",
  "failures",
  "file-failures",
  "forget-session",
  "forget-sessions",
  "get",
  "keep-log",
  "list",
  "match",
  "note-deliveries",
  "pause",
  "prune",
  "read-log",
  "read-session",
  "redrive",
  "release",
  "renew",
  "repair",
  "reprioritize",
  "retry",
  "stats",
  "take",
  "waiting",
] as const;
export type ScriptName = (typeof scriptNames)[number];

export interface Script {
  readonly name: ScriptName;
  readonly text: string;
  /** What the server knows it by, once it has seen the text. */
  readonly sha: string;
}

const includeLine = /^--- @include "(.+)"$/gm;

const loaded = new Map<ScriptName, Script>();

/** Read once in a process: a program that is replaced under a running container does not mix two versions. */
export function loadScript(name: ScriptName): Script {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const script = readScript(name);
  loaded.set(name, script);
  return script;
}

function readScript(name: ScriptName): Script {
  const text = resolveIncludes(new URL(`scripts/${name}.lua`, import.meta.url), new Set());
  return { name, text, sha: createHash("sha1").update(text).digest("hex") };
}

/** A file's text with what it includes in the place of the line that says so, each file once. */
function resolveIncludes(file: URL, included: Set<string>): string {
  if (included.has(file.href)) return "";
  included.add(file.href);
  return readFileSync(file, "utf8").replace(includeLine, (_line, name: string) =>
    resolveIncludes(new URL(`${name}.lua`, file), included),
  );
}
