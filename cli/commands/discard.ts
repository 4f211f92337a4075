import { type Command, Option } from "commander";
import { action, examples } from "../command.ts";
import { codeOption } from "../filters.ts";
import type { DiscardOptions, EndedStatus } from "../many/discard-jobs.ts";
import { addChangeOptions, addFilterOptions, namesMany } from "../many/filter-options.ts";

const statuses = ["failed", "completed", "cancelled", "any"] satisfies EndedStatus[];

export function addDiscard(program: Command): void {
  const command = program
    .command("discard")
    .summary("forget jobs that have ended")
    .description(
      "Forgets a job that has ended, or all ended jobs that the options name: the failed ones, unless --status names others. " +
        "What has not ended stays, and what has not been reported to the app yet. Ctrl-C stops it after the part under way.",
    )
    .argument("[job]", "job id; with --undecodable an element's, as failures --undecodable lists them")
    .addOption(new Option("--status <status>", "those with this end").choices(statuses))
    .option("--code <code>", "those that failed with this error, such as INVALID_JOB", codeOption);
  addFilterOptions(command)
    .option("--files", "delete their files, too")
    .option("--undecodable", "elements of the queue in which there is no job: the one that is named, or all");
  addChangeOptions(command)
    .addHelpText(
      "after",
      examples(
        "ourvidz discard 0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111 --files",
        "ourvidz discard --queue sdxl_queue --code INVALID_JOB --dry-run",
        "ourvidz discard --status completed --older-than 30d --files --yes",
        "ourvidz discard --undecodable --queue sdxl_queue --yes",
      ),
    )
    .action(
      action(async ([id], options: DiscardOptions & { readonly undecodable?: boolean }) => {
        if (options.undecodable) return (await import("../many/undecodable.ts")).discardElements(id, options);
        const isMany = namesMany(id, options);
        const { discardJobs, discardOne } = await import("../many/discard-jobs.ts");
        return isMany ? discardJobs(options) : discardOne(id ?? "", options);
      }),
    );
}
