import process from "node:process";
import type { Config } from "#runtime/container/config.ts";
import type { LogFormat, Logger } from "#runtime/observe/log.ts";

export interface GlobalOptions {
  readonly data?: string;
  readonly models?: string;
  readonly handlers?: string;
  /** A container to use over HTTP, in place of a queue of this machine. */
  readonly url?: string;
  readonly key?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** Options that stand for a variable of the environment. */
const variableOf = [
  ["data", "DATA_DIR"],
  ["models", "MODELS_DIR"],
  ["handlers", "HANDLERS_DIR"],
  ["host", "HOST"],
  ["port", "PORT"],
] as const satisfies readonly (readonly [keyof (GlobalOptions & ListenOptions), string])[];

/** Variables that only say where a container listens: a command that opens no port does not ask for a key. */
const listening = ["HOST", "PUBLIC_URL"];

export interface ListenOptions {
  readonly host?: string;
  readonly port?: string;
}

/**
 * The configuration: the environment, with what the command line says instead.
 *
 * @param serves whether the command opens a port
 * @param role what the command is to other processes, where it is no container but does announce offers
 * @throws CodedError CONFIG_INVALID listing every variable that is wrong
 */
export async function readSettings(
  options: GlobalOptions & ListenOptions,
  { serves, role }: { readonly serves: boolean; readonly role?: string },
): Promise<Config> {
  const [{ readConfig }, { defaultWorkerId }] = await Promise.all([
    import("#runtime/container/config.ts"),
    import("#runtime/container/default-worker-id.ts"),
  ]);
  const { RUNPOD_POD_ID: podId, ...environment } = process.env;
  const given = Object.fromEntries(Object.entries(environment).filter(([name]) => serves || !listening.includes(name)));
  return readConfig(
    {
      ...given,
      ...(serves ? { RUNPOD_POD_ID: podId } : { WORKER_ID: environment.WORKER_ID || podId }),
      ...Object.fromEntries(
        variableOf.flatMap(([name, variable]) => (options[name] === undefined ? [] : [[variable, options[name]]])),
      ),
      ...(options.verbose && !environment.LOG_LEVEL ? { LOG_LEVEL: "debug" } : {}),
    },
    defaultWorkerId,
    role,
  );
}

/** The format in which logs are written: what LOG_FORMAT says, else made for whoever reads standard error. */
export function logFormat(config: Config): LogFormat {
  return config.log.format ?? (process.stderr.isTTY ? "pretty" : "json");
}

export async function openLog(config: Config): Promise<Logger> {
  const { createLogger } = await import("#runtime/observe/log.ts");
  return createLogger({ level: config.log.level, format: logFormat(config) });
}
