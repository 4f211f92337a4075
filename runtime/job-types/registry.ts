import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { parameterProblems, unreadKeys } from "#contract/parameters.ts";
import { describeProblems } from "#contract/problems.ts";

/*
 * Finds the handlers: every `<job type>.ts` in one folder, whose default export is a handler of that name.
 * A bad file stops the start and is named: a container that silently lacks a job type loses its jobs later.
 */
const snakeCase = /^[a-z0-9][a-z0-9_]{0,63}$/;

const handlerShape = z.object({
  type: z.string().regex(snakeCase, "must be a name in snake_case"),
  worker: z.string().regex(snakeCase, "must be a name in snake_case"),
  model: z.string().min(1).optional(),
  produces: z.enum(["image", "video", "text", "nothing"]),
  description: z.string().optional(),
  input: z.custom<z.ZodType>((value) => value instanceof z.ZodType, "must be a zod schema"),
  parameters: z.custom<z.ZodObject>((value) => value instanceof z.ZodObject, "must be a zod object").optional(),
  defaults: z.record(z.string(), z.unknown()).optional(),
  retry: z.object({
    maxAttempts: z.number().int().min(1).max(100),
    timeoutSeconds: z.number().positive().max(86_400),
    backoffSeconds: z.number().positive().max(3600).optional(),
  }),
  run: z.custom<Handler["run"]>(
    (value) => typeof value === "function",
    "must be a function (job, ctx) => Promise<JobOutput>",
  ),
});

export class Registry {
  readonly #handlers: ReadonlyMap<string, Handler>;

  constructor(handlers: readonly Handler[]) {
    this.#handlers = new Map(handlers.map((handler) => [handler.type, handler]));
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

/** @throws CodedError HANDLER_INVALID naming every bad file and what is wrong with it */
export async function loadHandlers(folder: string): Promise<Registry> {
  const files = await handlerFiles(folder);
  const loaded = await Promise.all(files.map((file) => loadHandler(folder, file)));
  const problems = loaded.flatMap((result) => ("problem" in result ? [result.problem] : []));
  if (problems.length > 0)
    throw new CodedError("HANDLER_INVALID", `Handlers cannot be loaded:\n  ${problems.join("\n  ")}`, {
      details: problems,
    });
  return new Registry(loaded.flatMap((result) => ("handler" in result ? [result.handler] : [])));
}

async function handlerFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new CodedError(
      "HANDLER_INVALID",
      `The handlers folder ${folder} cannot be read; set HANDLERS_DIR to an existing folder.`,
      { cause },
    );
  });
  return names.filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts")).sort();
}

async function loadHandler(folder: string, file: string): Promise<{ handler: Handler } | { problem: string }> {
  const path = join(folder, file);
  const name = file.slice(0, -".ts".length);
  try {
    const module: unknown = await import(pathToFileURL(path).href);
    const parsed = z.object({ default: handlerShape }).safeParse(module);
    if (!parsed.success) return { problem: `${path}: ${describeIssues(parsed.error)}` };
    const handler = parsed.data.default;
    if (handler.type !== name)
      return { problem: `${path}: its type is "${handler.type}", so the file must be called ${handler.type}.ts` };
    const problem = defaultsProblem(handler);
    return problem === null ? { handler } : { problem: `${path}: ${problem}` };
  } catch (error) {
    return { problem: `${path}: ${error instanceof Error ? error.message : String(error)}` };
  }
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

function describeIssues(error: z.ZodError): string {
  return error.issues
    .map((issue) => {
      const path = issue.path.slice(1).join(".");
      return path === "" ? "its default export must be defineHandler({ … })" : `${path}: ${issue.message}`;
    })
    .join("; ");
}
