import { type Command, InvalidArgumentError } from "commander";
import { action, examples } from "../command.ts";
import type { EnvFile } from "../env-file.ts";
import type { StartOptions } from "../start.ts";

export function addStart(program: Command, envFile: EnvFile | null): void {
  program
    .command("start")
    .summary("start the whole container")
    .description(
      "Starts the container: takes jobs, runs them, delivers their files and serves HTTP, until SIGTERM or Ctrl-C. It then " +
        "stops taking, lets running jobs finish or gives them back, delivers what is finished, and exits with 0. A second " +
        "signal ends it at once. Settings come from the environment, and from a file .env in the folder that it is started in: see .env.example.",
    )
    .option("--port <n>", "port to listen on (PORT); 0 takes a free one", portOption)
    .option("--host <address>", "address to listen on (HOST); off loopback a key is required")
    .option("--watch", "for who writes handlers: load each anew when it, or what it imports, changes")
    .addHelpText(
      "after",
      examples("ourvidz start", "ourvidz start --watch", "ourvidz start --port 8080 --data /srv/ourvidz"),
    )
    .action(action(async (_operands, options: StartOptions) => (await import("../start.ts")).start(options, envFile)));
}

export function portOption(text: string): string {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
    throw new InvalidArgumentError("It must be a port from 0 to 65535.");
  return text;
}
