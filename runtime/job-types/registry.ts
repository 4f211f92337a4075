import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { CodedError, toErrorReport } from "#contract/errors.ts";
import type { Handler, ModelCheck } from "#contract/handler.ts";
import { houseMessage } from "#contract/house-messages.ts";
import { parameterProblems, unreadKeys } from "#contract/parameters.ts";
import { describeProblems, parseWith } from "#contract/problems.ts";
import { codeFrame, codePlace, placeText } from "#runtime/lib/code-place.ts";
import { checkCalls } from "./call-graph.ts";

/*
 * Finds the handlers: every `<job type>.ts` in one folder, whose default export is a handler of that name.
 * A bad file is named, and its job type is not offered; the others run.
 */
// Whatever a handler or a pipeline checks itself is refused in the same words as a job.
z.config({ customError: houseMessage });

const snakeCase = /^[a-z0-9][a-z0-9_]{0,63}$/;

const handlerShape = z.object({
  type: z.string().regex(snakeCase, "must be a name in snake_case"),
  worker: z.string().regex(snakeCase, "must be a name in snake_case"),
  model: z.string().min(1).optional(),
  modelCheck: z
    .custom<ModelCheck>(
      (value) => z.object({ takes: z.function(), read: z.function() }).safeParse(value).success,
      "must have the functions takes(className) and read(folder)",
    )
    .optional(),
  produces: z.enum(["image", "video", "text", "nothing"]),
  description: z.string().optional(),
  calls: z.array(z.string().regex(snakeCase, "must be a job type's name")).max(32).optional(),
  input: z.custom<z.ZodType>((value) => value instanceof z.ZodType, "must be a zod schema"),
  parameters: z.custom<z.ZodObject>((value) => value instanceof z.ZodObject, "must be a zod object").optional(),
  defaults: z.record(z.string(), z.unknown()).optional(),
  defaultsFor: z.custom<Handler["defaultsFor"]>(isFunctionOrAbsent, "must be a function of the job").optional(),
  unusedFields: z.custom<Handler["unusedFields"]>(isFunctionOrAbsent, "must be a function of the job").optional(),
  retry: z.object(
    {
      maxAttempts: z.number().int().min(1).max(100),
      timeoutSeconds: z.number().positive().max(86_400),
      backoffSeconds: z.number().positive().max(3600).optional(),
    },
    "must be { maxAttempts, timeoutSeconds }",
  ),
  readPrompt: z
    .custom<NonNullable<Handler["readPrompt"]>>((value) => typeof value === "function", "must be a function")
    .optional(),
  run: z.custom<Handler["run"]>(
    (value) => typeof value === "function",
    "must be a function (job, ctx) => Promise<JobOutput>",
  ),
});

function isFunctionOrAbsent(value: unknown): boolean {
  return value === undefined || typeof value === "function";
}

/** A file that is no handler, and why. */
export interface HandlerProblem {
  /** The job type that its name stands for. */
  readonly type: string;
  /** A sentence that names the file, and where it is known the line and column. */
  readonly problem: string;
  /** The lines around that place, for people at a terminal. */
  readonly frame?: string | undefined;
}

export interface RegistryOptions {
  /** Where the files are, for sentences about them. */
  readonly folder?: string | undefined;
  /** False in an executor, which has no part in who may call whom: the dispatcher process has refused what it must not run. */
  readonly checksCalls?: boolean | undefined;
}

export class Registry {
  readonly #options: RegistryOptions;
  /** All that are handlers. */
  readonly #loaded: Map<string, Handler>;
  /** Those whose calls are in order, too. */
  #handlers: ReadonlyMap<string, Handler> = new Map();
  readonly #problems: Map<string, HandlerProblem>;
  #callProblems: readonly HandlerProblem[] = [];

  constructor(handlers: readonly Handler[], problems: readonly HandlerProblem[] = [], options: RegistryOptions = {}) {
    this.#options = options;
    this.#loaded = new Map(handlers.map((handler) => [handler.type, handler]));
    this.#problems = new Map(problems.map((problem) => [problem.type, problem]));
    this.#accept([...this.#loaded.values()].sort((a, b) => a.type.localeCompare(b.type)));
  }

  /** Files that cannot be used, by name. */
  get problems(): readonly HandlerProblem[] {
    return [...this.#problems.values(), ...this.#callProblems].sort((a, b) => a.type.localeCompare(b.type));
  }

  /**
   * Takes a handler in whose file came or was mended, or notes what is wrong with it now. Returns the handlers that can be used
   * from now on: those too that had called what was not there, or in a circle.
   */
  update(result: LoadedHandler): readonly Handler[] {
    const type = "handler" in result ? result.handler.type : result.type;
    this.#problems.delete(type);
    if ("handler" in result) this.#loaded.set(type, result.handler);
    else this.#problems.set(type, result);
    const before = this.#handlers;
    // What runs already goes first: a file that comes is refused for a circle that it closes, and not those that were there.
    const rank = (one: string) => Number(one === type || !before.has(one));
    const all = [...this.#loaded.values()];
    this.#accept(all.sort((a, b) => rank(a.type) - rank(b.type) || a.type.localeCompare(b.type)));
    return [...this.#handlers.values()].filter((handler) => before.get(handler.type) !== handler);
  }

  #accept(handlers: readonly Handler[]): void {
    const { folder, checksCalls = true } = this.#options;
    const { accepted, refused } = checksCalls
      ? checkCalls(handlers, (type) => this.#problems.has(type))
      : { accepted: handlers, refused: new Map<string, string>() };
    this.#handlers = new Map(accepted.map((handler) => [handler.type, handler]));
    const fileOf = (type: string) => (folder === undefined ? `${type}.ts` : join(folder, `${type}.ts`));
    this.#callProblems = [...refused].map(([type, problem]) => ({ type, problem: `${fileOf(type)}: ${problem}` }));
  }

  get(type: string): Handler | undefined {
    return this.#handlers.get(type);
  }

  get types(): string[] {
    return [...this.#handlers.keys()].sort();
  }

  get workers(): string[] {
    return [...new Set([...this.#handlers.values()].map((handler) => handler.worker))].sort();
  }

  all(): Handler[] {
    return [...this.#handlers.values()];
  }
}

export type LoadedHandler = { readonly handler: Handler } | HandlerProblem;

/**
 * Loads every handler of the folder; a bad file is among the registry's problems.
 *
 * @param options.asOnDisk loads a file anew that has changed since this process loaded it
 * @throws CodedError HANDLER_INVALID when there is no such folder, when none of its files works, or when two are of one type
 */
export async function loadHandlers(
  folder: string,
  options: { readonly asOnDisk?: boolean; readonly checksCalls?: boolean } = {},
): Promise<Registry> {
  const files = await handlerFiles(folder);
  const versionOf = async (file: string) => {
    const { mtimeMs, size } = await stat(join(folder, file));
    return `${mtimeMs}-${size}`;
  };
  const load = async (file: string) => loadHandler(folder, file, options.asOnDisk ? await versionOf(file) : undefined);
  const loaded = await Promise.all(files.map(load));
  const handlers = loaded.flatMap((result) => ("handler" in result ? [result.handler] : []));
  const problems = loaded.flatMap((result) => ("handler" in result ? [] : [result]));
  const isTwice = problems.some(({ otherType }) => otherType !== undefined && files.includes(`${otherType}.ts`));
  if (isTwice || (handlers.length === 0 && problems.length > 0)) throw handlersInvalid(problems);
  return new Registry(handlers, problems, { folder, checksCalls: options.checksCalls });
}

/** For callers, who get no path of this machine: the log, `/worker/status` and `ourvidz handlers` name the file and its fault. */
export function brokenHandler(type: string): CodedError {
  return new CodedError(
    "NOT_READY",
    `The handler of ${type} cannot be loaded on this container, so it takes no jobs of that type now: its log says why.`,
  );
}

/** For those who want every file to be in order. */
export function handlersInvalid(problems: readonly HandlerProblem[]): CodedError {
  return new CodedError("HANDLER_INVALID", `Handlers cannot be loaded:\n  ${problems.map(withFrame).join("\n  ")}`, {
    details: problems.map(({ problem }) => problem),
  });
}

/** A problem with the lines that it is about, for people at a terminal. */
export function withFrame({ problem, frame }: Pick<HandlerProblem, "problem" | "frame">): string {
  return frame === undefined ? problem : `${problem}\n\n${frame}\n`;
}

/**
 * Names of the files that are handlers, sorted.
 * @throws CodedError HANDLER_INVALID when the folder cannot be read
 */
export async function handlerFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new CodedError(
      "HANDLER_INVALID",
      `The handlers folder ${folder} cannot be read; set HANDLERS_DIR to an existing folder.`,
      { cause },
    );
  });
  return names.filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts")).sort();
}

/** @param version another one after the file has changed: a module of the same address is not read again */
export async function loadHandler(
  folder: string,
  file: string,
  version?: string,
): Promise<{ readonly handler: Handler } | (HandlerProblem & { readonly otherType?: string })> {
  const path = join(folder, file);
  const type = file.slice(0, -".ts".length);
  const query = version === undefined ? "" : `?version=${encodeURIComponent(version)}`;
  try {
    const module: unknown = await import(`${pathToFileURL(path).href}${query}`);
    const given = z.object({ default: z.record(z.string(), z.unknown()) }).safeParse(module).data?.default;
    if (given === undefined) return { type, problem: `${path}: its default export must be defineHandler({ … })` };
    const parsed = parseWith(handlerShape, given);
    if (!parsed.ok) return { type, problem: `${path}: ${describeProblems(parsed.problems)}` };
    const handler = parsed.value;
    if (handler.type !== type) {
      const problem = `${path}: its type is "${handler.type}", so the file must be called ${handler.type}.ts`;
      return { type, problem, otherType: handler.type };
    }
    const problem = defaultsProblem(handler);
    return problem === null ? { handler } : { type, problem: `${path}: ${problem}` };
  } catch (error) {
    return { type, ...loadProblem(path, error) };
  }
}

/** What was thrown while a file was loaded, with its place: in the file, or in one that it imports. */
function loadProblem(path: string, error: unknown): Pick<HandlerProblem, "problem" | "frame"> {
  const { message } = toErrorReport(error);
  const place = codePlace(error);
  if (place === null) return { problem: `${path}: ${message}` };
  const frame = codeFrame(place) || undefined;
  if (place.file === path) return { problem: `${placeText(place)}: ${message}`, frame };
  return { problem: `${path}: ${placeText(place)}: ${message}`, frame };
}

/** Found now, and not by the first job that gives nothing. */
function defaultsProblem({ parameters, defaults }: Handler): string | null {
  if (defaults === undefined) return null;
  if (parameters === undefined) return "defaults: there are no parameters to have defaults";
  const unread = unreadKeys(parameters, defaults);
  if (unread.length > 0) return `defaults: parameters has no ${unread.join(", ")}`;
  const problems = parameterProblems(parameters, { explicit: {}, handler: defaults });
  const own = problems.filter(({ field }) => field.startsWith("defaults."));
  return own.length === 0 ? null : describeProblems(own);
}
