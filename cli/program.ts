import { Command, Help, Option } from "commander";
import manifest from "../package.json" with { type: "json" };
import { addBackup } from "./commands/backup.ts";
import { addCancel } from "./commands/cancel.ts";
import { addChat } from "./commands/chat.ts";
import { addDiscard } from "./commands/discard.ts";
import { addEnhance } from "./commands/enhance.ts";
import { addEnqueue } from "./commands/enqueue.ts";
import { addFailures } from "./commands/failures.ts";
import { addGateway } from "./commands/gateway.ts";
import { addHandlers } from "./commands/handlers.ts";
import { addJob } from "./commands/job.ts";
import { addJobs } from "./commands/jobs.ts";
import { addModels } from "./commands/models.ts";
import { addNewHandler } from "./commands/new-handler.ts";
import { addOutbox } from "./commands/outbox.ts";
import { addPause } from "./commands/pause.ts";
import { addPriority } from "./commands/priority.ts";
import { addQueues } from "./commands/queues.ts";
import { addRestore } from "./commands/restore.ts";
import { addResume } from "./commands/resume.ts";
import { addRetry } from "./commands/retry.ts";
import { addRun } from "./commands/run.ts";
import { addRunpodEmulator } from "./commands/runpod-emulator.ts";
import { addStart } from "./commands/start.ts";
import { addTokens } from "./commands/tokens.ts";
import { addValidate } from "./commands/validate.ts";
import { type EnvFile, noteProblems } from "./env-file.ts";
import { usageError } from "./errors.ts";
import { addSourceOptions } from "./job/options.ts";
import { didYouMean } from "./suggest.ts";

/** Commands that can be sent to a container. */
const remoteCommands = new Set([
  "enqueue",
  "jobs",
  "job",
  "cancel",
  "retry",
  "discard",
  "priority",
  "queues",
  "pause",
  "resume",
  "failures",
  "outbox",
  "tokens",
  "chat",
  "enhance",
]);

/**
 * The command line. Files in `commands/` say what a command is called and takes; what it does, and with it the runtime,
 * is imported when it is called.
 *
 * @param envFile what was read into the environment, for who says so
 */
export function createProgram(envFile: EnvFile | null = null): Command {
  const program = new Command("ourvidz")
    .description("GPU job runtime for image and video apps.")
    .version(manifest.version, "--version", "print the version")
    .helpOption("-h, --help", "show help")
    .option("--data <dir>", "data folder: database, work in progress, finished files (DATA_DIR)")
    .option("--models <dir>", "models folder (MODELS_DIR)")
    .option("--handlers <dir>", "handlers folder (HANDLERS_DIR)")
    .addOption(new Option("--url <url>", "a container to ask over HTTP").env("OURVIDZ_URL"))
    .addOption(new Option("--key <key>", "one of its keys; safer in the environment").env("OURVIDZ_KEY"))
    .option("--json", "print the result, or the error, as one JSON document")
    .option("--verbose", "show logs, and where an unexpected error comes from")
    .configureHelp({ showGlobalOptions: true, visibleGlobalOptions: takenOptions })
    .addHelpText(
      "after",
      "\nExit codes: 0 completed, 1 failed, 2 bad usage (unknown job type, bad option, bad value, invalid environment),\n" +
        "130 Ctrl-C, 143 SIGTERM, 129 SIGHUP.",
    )
    // Errors are thrown and reported in one place, in one form.
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .hook("preAction", (main, command) => {
      // The container's log has them.
      if (command.name() !== "start") noteProblems(envFile);
      if (main.getOptionValueSource("url") === "cli" && !remoteCommands.has(command.name()))
        throw usageError(
          `${command.name()} works on this machine: leave out --url. It is for ${[...remoteCommands].join(", ")}.`,
        );
      // One in the environment may stand there for other calls.
      const { url, data } = main.opts();
      if (main.getOptionValueSource("key") === "cli" && (url === undefined || data !== undefined))
        throw usageError(
          "--key is for a container that --url (or OURVIDZ_URL) names: give it too, or leave out --key.",
        );
    });

  program.commandsGroup("Run:");
  addStart(program, envFile);
  addRun(program);
  addGateway(program);
  addRunpodEmulator(program);
  program.commandsGroup(
    "Jobs of a data folder, beside a running container or without one; or, with --url, of a container:",
  );
  for (const add of [addEnqueue, addJobs, addJob, addCancel, addRetry, addDiscard, addPriority]) add(program);
  for (const add of [addQueues, addPause, addResume, addFailures]) add(program);
  for (const command of program.commands) if (remoteCommands.has(command.name())) addSourceOptions(command);
  addOutbox(program);
  program.commandsGroup("Language model, here or, with --url, of a container:");
  addChat(program);
  addEnhance(program);
  program.commandsGroup("Look and check:");
  for (const add of [addHandlers, addModels, addTokens, addValidate]) add(program);
  program.commandsGroup("Keep:");
  for (const add of [addBackup, addRestore]) add(program);
  program.commandsGroup("Write:");
  addNewHandler(program);
  program.commandsGroup("Help:");
  addHelp(program);
  return program;
}

/** What a command refuses is not in its help. */
function takenOptions(this: Help, command: Command): Option[] {
  const all = Help.prototype.visibleGlobalOptions.call(this, command);
  return remoteCommands.has(command.name()) ? all : all.filter(({ long }) => long !== "--url" && long !== "--key");
}

/** Commander's own shows everything for a name that it does not know, and says nothing of it. */
function addHelp(program: Command): void {
  program.helpCommand(false);
  program
    .command("help")
    .argument("[command]")
    .description("show a command's help")
    .action((name: string | undefined) => {
      const meant = name === undefined ? program : program.commands.find((command) => command.name() === name);
      if (meant !== undefined) return meant.help();
      const names = program.commands.map((command) => command.name());
      throw usageError(`Unknown command '${name}'. ${didYouMean(name ?? "", names)}`.trim());
    });
}
