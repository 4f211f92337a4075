/** The arguments of a command by name, each with its choices where the help has those. */
export type CommandOptions = Readonly<Record<string, readonly string[]>>;

/** `--sample_solver {unipc,dpm++}`, as Python's argparse writes it, in the usage and in the list below it. */
const option = /(?<![\w-])--([A-Za-z][\w-]{0,60})(?:[ =]\{([^}\n]{0,2000})\})?/g;

/** What a command's `--help` says of its arguments. */
export function readHelp(text: string): CommandOptions {
  const found = new Map<string, readonly string[]>();
  for (const [, name = "", choices] of text.matchAll(option)) {
    if (choices !== undefined)
      found.set(
        name,
        choices.split(",").map((choice) => choice.trim()),
      );
    else if (!found.has(name)) found.set(name, []);
  }
  return Object.fromEntries(found);
}
