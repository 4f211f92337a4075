import type { Command } from "commander";
import type { Handler } from "#contract/handler.ts";
import { action, examples } from "../command.ts";
import { exitCodes } from "../errors.ts";
import { bad, note, printResult } from "../output.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { table } from "../table.ts";

export function addHandlers(program: Command): void {
  program
    .command("handlers")
    .summary("list the job types that can run here")
    .description("Lists the handlers: each is one job type, one file in the handlers folder.")
    .addHelpText("after", examples("ourvidz handlers", "ourvidz handlers --json | jq -r '.handlers[].type'"))
    .action(action(handlers));
}

async function handlers(_operands: readonly string[], options: GlobalOptions): Promise<number> {
  const { handlersFolder } = await readSettings(options, { serves: false });
  const { loadHandlers, withFrame } = await import("#runtime/job-types/registry.ts");
  const registry = await loadHandlers(handlersFolder);
  const { problems } = registry;
  const all = registry.all().toSorted((a, b) => a.type.localeCompare(b.type));
  printResult(options, { folder: handlersFolder, handlers: all.map(handlerJson), problems }, handlerTable(all));
  if (!options.json && all.length + problems.length === 0)
    note(`There are no handlers in ${handlersFolder}: write one with "ourvidz new-handler <type>".`);
  if (!options.json) for (const problem of problems) note(`${bad("error:")} ${withFrame(problem)}`);
  return problems.length === 0 ? exitCodes.completed : exitCodes.failed;
}

function handlerJson(handler: Handler) {
  return {
    type: handler.type,
    worker: handler.worker,
    model: handler.model ?? null,
    produces: handler.produces,
    max_attempts: handler.retry.maxAttempts,
    timeout_seconds: handler.retry.timeoutSeconds,
    description: handler.description ?? null,
  };
}

function handlerTable(all: readonly Handler[]): string {
  return table(all, [
    { title: "TYPE", value: (handler) => handler.type },
    { title: "WORKER", value: (handler) => handler.worker },
    { title: "MODEL", value: (handler) => handler.model ?? "-" },
    { title: "PRODUCES", value: (handler) => handler.produces },
    { title: "ATTEMPTS", value: (handler) => String(handler.retry.maxAttempts) },
    { title: "TIMEOUT", value: (handler) => `${handler.retry.timeoutSeconds} s` },
    { title: "DESCRIPTION", value: (handler) => handler.description ?? "" },
  ]);
}
