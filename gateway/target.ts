import type { Argument } from "./command.ts";
import { RestError } from "./rest-error.ts";

/** What a request's URL says. */
export interface Target {
  /** The path's segments: empty for `/`, else a route (`pipeline`) or a command with arguments (`set/key/value`). */
  readonly path: readonly Argument[];
  /** The query as further arguments, in order: `?NX&EX=100` is `NX EX 100`. */
  readonly options: readonly Argument[];
  /** The token from `?_token=`, where no header can be set (a browser's EventSource). */
  readonly token: string | undefined;
}

/**
 * @param url the request target in origin form, `/set/key/value?EX=100`
 * @throws RestError 400 when it is in another form
 */
export function parseTarget(url: string): Target {
  if (!url.startsWith("/")) throw new RestError(400, "ERR the request target must be a path");
  const queryStart = url.indexOf("?");
  const path = queryStart < 0 ? url : url.slice(0, queryStart);
  const segments = path === "/" ? [] : path.slice(1).split("/");
  // One slash at the end is a habit of URLs, not an empty argument.
  if (segments.at(-1) === "") segments.pop();
  return { path: segments.map(percentDecode), ...parseQuery(queryStart < 0 ? "" : url.slice(queryStart + 1)) };
}

function parseQuery(query: string): Pick<Target, "options" | "token"> {
  const options: Argument[] = [];
  let token: string | undefined;
  for (const part of query.split("&")) {
    if (part === "") continue;
    const [name = "", ...rest] = part.replaceAll("+", " ").split("=");
    const value = rest.length === 0 ? undefined : percentDecode(rest.join("="));
    if (name === "_token") token = value?.toString();
    else options.push(percentDecode(name), ...(value === undefined ? [] : [value]));
  }
  return { options, token };
}

/** Decodes to bytes, as `decodeURIComponent` does not: what is escaped may be no UTF-8. */
function percentDecode(text: string): Argument {
  if (!text.includes("%")) return text;
  const bytes = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1");
}
