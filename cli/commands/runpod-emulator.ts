import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { RunpodEmulatorOptions } from "../runpod-emulator.ts";
import { portOption } from "./start.ts";

export function addRunpodEmulator(program: Command): void {
  program
    .command("runpod-emulator")
    .summary("serve RunPod's endpoints on this machine")
    .description(
      "Serves /v2/<endpoint>/… as RunPod does, for clients and for containers: point a client's base address at it, and " +
        "RUNPOD_WEBHOOK_GET_JOB and its likes of any serverless worker, the official one too. Each endpoint's jobs are in a " +
        "queue of the first source of the environment (Redis, Supabase), else of the data folder. That folder (--data) holds " +
        "what is still to be delivered in any case, and names no queue; the start says where the jobs are.\n\n" +
        "The keys are those of WAN_WORKER_API_KEY, as a bearer token or bare. Ctrl-C ends it in order.",
    )
    .option("--port <n>", "port to listen on; 0 takes a free one", portOption, "8123")
    .option("--host <address>", "address to listen on; off loopback a key is required", "127.0.0.1")
    .addHelpText(
      "after",
      examples("ourvidz runpod-emulator", "ourvidz runpod-emulator --data /tmp/endpoints --port 8123"),
    )
    .action(
      action(async (_operands, options: RunpodEmulatorOptions) =>
        (await import("../runpod-emulator.ts")).runpodEmulator(options),
      ),
    );
}
