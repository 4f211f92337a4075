import type { Command } from "commander";
import { action, examples } from "../command.ts";
import type { GatewayCommandOptions } from "../gateway.ts";
import { portOption } from "./start.ts";

export function addGateway(program: Command): void {
  program
    .command("gateway")
    .summary("serve a Redis of your own in Upstash's REST form")
    .description(
      "Serves a Redis or Valkey over HTTP as Upstash does, so that producers and containers need no Upstash account: give " +
        "them its address as UPSTASH_REDIS_REST_URL and its token as UPSTASH_REDIS_REST_TOKEN.\n\n" +
        "GATEWAY_TOKEN may do everything, GATEWAY_READ_ONLY_TOKEN may read. Secrets come from the environment only, as " +
        "options show in process lists; so should a REDIS_URL that has a password. Ctrl-C ends it in order.",
    )
    .option("--redis <url>", "the Redis server (REDIS_URL, default redis://127.0.0.1:6379)")
    .option("--port <n>", "port to listen on; 0 takes a free one", portOption, "8079")
    .option("--host <address>", "address to listen on; off loopback a token is required", "127.0.0.1")
    .addHelpText(
      "after",
      examples("ourvidz gateway", "GATEWAY_TOKEN=$(openssl rand -hex 32) ourvidz gateway --host 0.0.0.0"),
    )
    .action(
      action(async (_operands, options: GatewayCommandOptions) => (await import("../gateway.ts")).gateway(options)),
    );
}
