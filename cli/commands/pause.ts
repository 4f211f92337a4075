import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { QueueChoice } from "../queue.ts";
import type { GlobalOptions } from "../settings.ts";

export function addPause(program: Command): void {
  program
    .command("pause")
    .summary("take no more jobs of a queue, in any container")
    .description(
      "Pauses a queue for every container, until it is resumed, whatever restarts meanwhile. Running jobs go on; jobs come in " +
        "and wait.",
    )
    .argument("<queue>", "the queue, such as sdxl_queue")
    .addHelpText("after", examples("ourvidz pause sdxl_queue", "ourvidz --url https://worker.example pause wan_queue"))
    .action(
      action(async ([queue], options: GlobalOptions & QueueChoice) =>
        (await import("../job/pause-queue.ts")).pauseQueue(queue ?? "", true, options),
      ),
    );
}
