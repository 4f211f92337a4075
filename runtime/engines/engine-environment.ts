import { resolve } from "node:path";
import { z } from "zod";
import { numberFrom } from "#contract/fields.ts";
import { executorEnvironment } from "#runtime/executor/parent/executor-environment.ts";
import { commaSeparated, type Environment } from "#runtime/lib/environment.ts";
import type { Engines } from "./engine-settings.ts";

/*
 * The part of the environment that has a worker's jobs run by an external command: `<WORKER>_ENGINE` and what belongs to it,
 * for each worker whose handlers know such a command.
 */
const commandText = z
  .string()
  .transform((text, context) => {
    const parsed = commandList.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    const message = 'must be a JSON list of the program and its arguments, such as ["python","/opt/wan/generate.py"]';
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .optional();

const commandList = z.array(z.string().min(1)).min(1);

const modelNames = z.string().default("wan").transform(commaSeparated);

const variableNames = z
  .string()
  .default("")
  .transform(commaSeparated)
  .pipe(z.array(z.string().regex(/^[A-Za-z_]\w*$/, "must be names of environment variables, separated by commas")));

export const engineEnvironment = {
  WAN_ENGINE: z.enum(["onnx", "process"]).default("onnx"),
  WAN_COMMAND: commandText,
  WAN_CKPT_DIR: z.string().min(1).optional(),
  WAN_COMMAND_TASK: z
    .string()
    .regex(/^(?:t2v|t2i|i2v|ti2v|flf2v)-[\w.]+$/, "must be a task of the command, such as t2v-1.3B or i2v-14B")
    .default("t2v-1.3B"),
  WAN_COMMAND_MODELS: modelNames,
  WAN_COMMAND_ENV: variableNames,
  WAN_COMMAND_TIMEOUT_SECONDS: numberFrom(1, 86_400).optional(),
};

type Values = z.output<z.ZodObject<typeof engineEnvironment>>;

/** What programs on a GPU need to find themselves, their libraries and their caches. */
const passedOn = [
  ...["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"],
  ...["CUDA_VISIBLE_DEVICES", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "LD_LIBRARY_PATH"],
  ...["HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TORCH_HOME", "XDG_CACHE_HOME"],
  ...["PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTORCH_CUDA_ALLOC_CONF", "OMP_NUM_THREADS"],
];

/** What is wrong between variables that are right by themselves. */
export function engineProblems(values: Values, given: Environment): string[] {
  if (values.WAN_ENGINE !== "process") return [];
  const kept = executorEnvironment(given);
  const withheld = values.WAN_COMMAND_ENV.filter((name) => given[name] !== undefined && kept[name] === undefined);
  return [
    ...(values.WAN_COMMAND === undefined
      ? ['WAN_COMMAND: must be set beside WAN_ENGINE=process, such as ["python","/opt/wan/generate.py"]']
      : []),
    ...withheld.map((name) => `WAN_COMMAND_ENV: ${name} looks like a secret, and what runs jobs is given none`),
  ];
}

export function enginesOf(values: Values, given: Environment): Engines {
  const { WAN_ENGINE: engine, WAN_COMMAND: command, WAN_CKPT_DIR: checkpoints } = values;
  if (engine !== "process" || command === undefined) return new Map();
  const kept = executorEnvironment(given);
  const names = [...passedOn, ...values.WAN_COMMAND_ENV];
  const passed = names.flatMap((name) => (kept[name] === undefined ? [] : [[name, kept[name]] as const]));
  const settings = {
    command,
    // Lines come when they are printed, and not when a buffer is full: progress would be late.
    environment: { ...Object.fromEntries(passed), PYTHONUNBUFFERED: "1" },
    checkpointsFolder: checkpoints === undefined ? undefined : resolve(checkpoints),
    task: values.WAN_COMMAND_TASK,
    timeoutSeconds: values.WAN_COMMAND_TIMEOUT_SECONDS,
    models: values.WAN_COMMAND_MODELS,
  };
  return new Map([["wan", settings]]);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
