import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { GlobalOptions } from "../settings.ts";

export function addRestore(program: Command): void {
  program
    .command("restore")
    .summary("make a data folder of an archive")
    .description(
      "Makes the data folder of an archive that ourvidz backup has written, or fills an empty one; never one that has " +
        "something in it. An archive of an older version is brought up to date, one of a newer version is refused.",
    )
    .argument("<file>", "the archive")
    .addHelpText("after", examples("ourvidz restore /backup/ourvidz.tar --data /var/lib/ourvidz"))
    .action(
      action(async ([file = ""], options: GlobalOptions) => (await import("../backup.ts")).restore(file, options)),
    );
}
