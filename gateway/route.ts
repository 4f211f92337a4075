import { type Command, isCommand } from "./command.ts";
import { parseCommand, parseCommands } from "./json-commands.ts";
import { RestError } from "./rest-error.ts";
import type { SubscriptionKind } from "./subscriptions.ts";
import type { Target } from "./target.ts";

/** What a request asks for; a path that is no other route is a command. */
export type Route = CommandRoute | SubscriptionKind;
export type CommandRoute = "command" | "pipeline" | "multi-exec";

export function routeOf({ path }: Target): Route {
  const [name] = path;
  if (name === "subscribe" || name === "psubscribe") return name;
  return path.length === 1 && (name === "pipeline" || name === "multi-exec") ? name : "command";
}

/**
 * The commands of a request. In the path style the body is the last argument but for the query's:
 * `POST /set/key?EX=100` with the body `value` is `SET key value EX 100`.
 *
 * @throws RestError 400 when they cannot be read
 */
export function readCommands(route: CommandRoute, target: Target, body: Buffer): readonly Command[] {
  if (route !== "command") return parseCommands(body);
  if (target.path.length === 0) return [parseCommand(body)];
  const words = [...target.path, ...(body.length === 0 ? [] : [body]), ...target.options];
  if (!isCommand(words)) throw new RestError(400, "ERR empty command");
  return [words];
}
