import { Command, Help, Option } from "commander";
import manifest from "../package.json" with { type: "json" };
import { type EnvFile, noteProblems } from "./env-file.ts";
import { usageError } from "./errors.ts";
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

/** How a command is made known to the command line. */
type Add = (program: Command, envFile: EnvFile | null) => void;

/** The commands in the help's order, by what they are for, each with its file. */
const groups: readonly { readonly title: string; readonly commands: Readonly<Record<string, () => Promise<Add>>> }[] = [
  {
    title: "Run:",
    commands: {
      start: async () => (await import("./commands/start.ts")).addStart,
      run: async () => (await import("./commands/run.ts")).addRun,
      gateway: async () => (await import("./commands/gateway.ts")).addGateway,
      "runpod-emulator": async () => (await import("./commands/runpod-emulator.ts")).addRunpodEmulator,
    },
  },
  {
    title: "Jobs of a data folder, beside a running container or without one; or, with --url, of a container:",
    commands: {
      enqueue: async () => (await import("./commands/enqueue.ts")).addEnqueue,
      jobs: async () => (await import("./commands/jobs.ts")).addJobs,
      job: async () => (await import("./commands/job.ts")).addJob,
      cancel: async () => (await import("./commands/cancel.ts")).addCancel,
      retry: async () => (await import("./commands/retry.ts")).addRetry,
      discard: async () => (await import("./commands/discard.ts")).addDiscard,
      priority: async () => (await import("./commands/priority.ts")).addPriority,
      queues: async () => (await import("./commands/queues.ts")).addQueues,
      pause: async () => (await import("./commands/pause.ts")).addPause,
      resume: async () => (await import("./commands/resume.ts")).addResume,
      failures: async () => (await import("./commands/failures.ts")).addFailures,
      outbox: async () => (await import("./commands/outbox.ts")).addOutbox,
    },
  },
  {
    title: "Language model, here or, with --url, of a container:",
    commands: {
      chat: async () => (await import("./commands/chat.ts")).addChat,
      enhance: async () => (await import("./commands/enhance.ts")).addEnhance,
    },
  },
  {
    title: "Look and check:",
    commands: {
      handlers: async () => (await import("./commands/handlers.ts")).addHandlers,
      models: async () => (await import("./commands/models.ts")).addModels,
      tokens: async () => (await import("./commands/tokens.ts")).addTokens,
      validate: async () => (await import("./commands/validate.ts")).addValidate,
    },
  },
  {
    title: "Keep:",
    commands: {
      backup: async () => (await import("./commands/backup.ts")).addBackup,
      restore: async () => (await import("./commands/restore.ts")).addRestore,
    },
  },
  {
    title: "Write:",
    commands: { "new-handler": async () => (await import("./commands/new-handler.ts")).addNewHandler },
  },
];

/** Of those that take the options of the sources; the others that can be sent to a container know one queue, or none. */
const withoutSources = new Set(["outbox", "chat", "enhance", "tokens"]);

/**
 * The command line. Files in `commands/` say what a command is called and takes; what it does, and with it the runtime,
 * is imported when it is called. A start of a container does not load what the others take: only commands whose names are among
 * the arguments are made known, or all where none is.
 *
 * @param envFile what was read into the environment, for who says so
 */
export async function createProgram(args: readonly string[], envFile: EnvFile | null = null): Promise<Command> {
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

  const isNamed = (name: string) => args.includes(name);
  const knowsAny = groups.some(({ commands }) => Object.keys(commands).some(isNamed)) && !isNamed("help");
  for (const { title, commands } of groups) {
    program.commandsGroup(title);
    for (const [name, load] of Object.entries(commands))
      if (!knowsAny || isNamed(name)) (await load())(program, envFile);
  }
  await addSourcesTo(program.commands);
  program.commandsGroup("Help:");
  addHelp(program);
  return program;
}

async function addSourcesTo(commands: readonly Command[]): Promise<void> {
  const takers = commands.filter((one) => remoteCommands.has(one.name()) && !withoutSources.has(one.name()));
  if (takers.length === 0) return;
  const { addSourceOptions } = await import("./job/options.ts");
  for (const command of takers) addSourceOptions(command);
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
