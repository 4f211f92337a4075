import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { QueueChoice } from "../queue.ts";
import type { GlobalOptions } from "../settings.ts";

export function addResume(program: Command): void {
  program
    .command("resume")
    .summary("take jobs of a paused queue again")
    .description("Lets a queue go on that `ourvidz pause`, or POST /queues/:queue/pause, has paused.")
    .argument("<queue>", "the queue, such as sdxl_queue")
    .addHelpText("after", examples("ourvidz resume sdxl_queue"))
    .action(
      action(async ([queue], options: GlobalOptions & QueueChoice) =>
        (await import("../job/pause-queue.ts")).pauseQueue(queue ?? "", false, options),
      ),
    );
}
