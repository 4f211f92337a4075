/** One argument of a command. A string is sent as UTF-8; bytes that may be no UTF-8 stay a buffer. */
export type Argument = string | Buffer;

/** A command with its arguments, as Redis takes it; the name comes first. */
export type Command = readonly [name: Argument, ...args: Argument[]];

export function isCommand(words: readonly Argument[]): words is Command {
  return words.length > 0;
}

/** The command's name in capitals, as the rules list it. */
export function commandName(command: Command): string {
  return command[0].toString().toUpperCase();
}
