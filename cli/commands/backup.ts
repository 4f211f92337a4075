import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { GlobalOptions } from "../settings.ts";

export function addBackup(program: Command): void {
  program
    .command("backup")
    .summary("write a data folder into an archive")
    .description(
      "Writes the data folder's database, as it is at one moment, finished files, what is still to be delivered and the " +
        "key that signs addresses into a new tar, beside a running container or without one. What can be made or fetched " +
        "again is left out.",
    )
    .argument("<file>", "the archive to write; must not exist")
    .addHelpText(
      "after",
      examples("ourvidz backup /backup/ourvidz.tar", "ourvidz backup now.tar --data /var/lib/ourvidz"),
    )
    .action(
      action(async ([file = ""], options: GlobalOptions) => (await import("../backup.ts")).backup(file, options)),
    );
}
