import { type ChildProcess, fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { invalidJob, modelInvalid, type PipelineError } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import type { ChatTurn } from "./request.ts";
import { type RenderReport, renderReport, type TemplateTask } from "./template-messages.ts";

const named = z.array(z.looseObject({ name: z.string(), template: z.string() }));
const templateFile = z.looseObject({ chat_template: z.union([z.string(), named]).nullish() });

/** Time for one conversation; a template of a published model takes a thousandth of it. */
const defaultLimitMs = 5000;
const maxMegabytes = 128;

export interface TemplateSource {
  /** The file that it is in, for messages. */
  readonly path: string;
  readonly text: string;
}

/**
 * The chat template of a model folder: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json` or
 * `chat_template.json`; of several, the one named `default`. Undefined when there is none, as in a model that was not taught
 * to converse.
 * @throws PipelineError MODEL_INVALID
 */
export async function findTemplate(folder: string): Promise<TemplateSource | undefined> {
  const path = join(folder, "chat_template.jinja");
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text !== undefined) return { path, text };
  for (const name of ["tokenizer_config.json", "chat_template.json"]) {
    const own = join(folder, name);
    const found = (await readJson(own, templateFile))?.chat_template ?? undefined;
    const chosen =
      typeof found === "string" ? found : found?.find((one) => one.name === "default" || found.length === 1)?.template;
    if (chosen !== undefined) return { path: own, text: chosen };
  }
  return undefined;
}

/** Writes conversations as a model was taught to read them. */
export class ChatTemplate {
  readonly #source: TemplateSource;
  readonly #marks: Readonly<Record<string, string>>;
  readonly #limitMs: number;
  #process: TemplateProcess | undefined;
  #takesSystem = true;

  private constructor(source: TemplateSource, ownMarks: Readonly<Record<string, string>>, limitMs: number) {
    this.#source = source;
    this.#marks = ownMarks;
    this.#limitMs = limitMs;
  }

  /**
   * @param marks texts of the tokenizer's marks by their names
   * @throws PipelineError MODEL_INVALID when the template cannot be read, or does not end
   */
  static async open(
    source: TemplateSource,
    marks: Readonly<Record<string, string>>,
    limitMs = defaultLimitMs,
  ): Promise<ChatTemplate> {
    const template = new ChatTemplate(source, marks, limitMs);
    try {
      template.#takesSystem = await template.#writesSystem();
      return template;
    } catch (error) {
      template.dispose();
      throw error;
    }
  }

  /** Whether the template has a place for a system message; without one it goes before the first message of the user's. */
  get takesSystem(): boolean {
    return this.#takesSystem;
  }

  /**
   * The conversation as a text, up to where the model's answer begins.
   * @throws PipelineError INVALID_JOB when the template refuses it, MODEL_INVALID when it fails or does not end
   */
  async render(messages: readonly ChatTurn[]): Promise<string> {
    const report = await this.#run(this.#takesSystem ? messages : withoutSystem(messages));
    if (report.kind === "text") return report.text;
    if (report.kind === "refused") {
      throw invalidJob(`The model's chat template does not take these messages: ${report.problem}`);
    }
    throw this.#invalid(`the chat template fails: ${report.problem}`);
  }

  /** Ends the process; a later {@link render} starts another. */
  dispose(): void {
    this.#process?.end();
    this.#process = undefined;
  }

  async #writesSystem(): Promise<boolean> {
    const mark = "a system message";
    const report = await this.#run([
      { role: "system", content: mark },
      { role: "user", content: "a question" },
    ]);
    return report.kind === "text" && report.text.includes(mark);
  }

  async #run(messages: readonly ChatTurn[]) {
    try {
      this.#process ??= await TemplateProcess.start({ source: this.#source.text, marks: this.#marks }, this.#limitMs);
      return await this.#process.render(messages);
    } catch (error) {
      this.dispose();
      throw this.#invalid(error instanceof Error ? error.message : String(error));
    }
  }

  #invalid(problem: string): PipelineError {
    return modelInvalid(this.#source.path, problem);
  }
}

type Answer = Exclude<RenderReport, { readonly kind: "ready" | "broken" }>;

/** V8 aborts when it may have no more memory; a shell between reports that as a number. */
const outOfMemory: ReadonlySet<unknown> = new Set(["SIGABRT", "SIGTRAP", 134, 133]);

/** One process with the template; an error of its methods ends its use. */
class TemplateProcess {
  readonly #child: ChildProcess;
  readonly #limitMs: number;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess, limitMs: number) {
    this.#child = child;
    this.#limitMs = limitMs;
  }

  static async start(task: TemplateTask, limitMs: number): Promise<TemplateProcess> {
    const child = fork(new URL("template-process.ts", import.meta.url), {
      execArgv: [`--max-old-space-size=${maxMegabytes}`],
      serialization: "advanced",
      // What V8 writes when there is no more memory is no news: the report says it.
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    // Of one that is being ended nobody else hears, and an error without a listener would end this process.
    child.on("error", () => undefined);
    const started = new TemplateProcess(child, limitMs);
    // The time of a start is the machine's.
    const report = await started.#ask(task, undefined);
    if (report.kind === "broken") {
      started.end();
      throw new Error(`the chat template cannot be read: ${report.problem}`);
    }
    return started;
  }

  render(messages: readonly ChatTurn[]): Promise<Answer> {
    const result = this.#last.then(async () => {
      const report = await this.#ask(messages, this.#limitMs);
      if (report.kind === "ready" || report.kind === "broken") throw new RangeError("the process started twice");
      return report;
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** At once: what it does may be one step of the library's that takes minutes. */
  end(): void {
    this.#child.kill("SIGKILL");
  }

  /** Sends, and resolves with what is reported. @throws Error when the process dies, or has not reported in time */
  async #ask(message: TemplateTask | readonly ChatTurn[], limitMs: number | undefined): Promise<RenderReport> {
    const child = this.#child;
    const { promise, resolve, reject } = Promise.withResolvers<RenderReport>();
    const onMessage = (report: unknown) => resolve(renderReport.parse(report));
    const onExit = (code: number | null, signal: string | null) => reject(new Error(endOf(code, signal)));
    const tooLong = () => reject(new Error(`the chat template does not end within ${Number(limitMs) / 1000} s`));
    const limit = limitMs === undefined ? undefined : setTimeout(tooLong, limitMs);
    child.on("message", onMessage).on("exit", onExit).on("error", reject);
    // Not to be waited for by a process that has nothing else to do, but by whoever waits for the report.
    child.ref();
    child.channel?.ref();
    try {
      if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode);
      else child.send(message, (error) => error && reject(error));
      return await promise;
    } finally {
      clearTimeout(limit);
      child.off("message", onMessage).off("exit", onExit).off("error", reject);
      child.unref();
      child.channel?.unref();
    }
  }
}

function endOf(code: number | null, signal: string | null): string {
  if (outOfMemory.has(signal ?? code))
    return `the chat template takes more memory than the ${maxMegabytes} MB that it may`;
  return `the chat template's process ended (${signal ?? `exit code ${code}`})`;
}

/** For templates without a place for it: the system's text before that of the user's first message. */
function withoutSystem(messages: readonly ChatTurn[]): readonly ChatTurn[] {
  const [system, first, ...rest] = messages;
  if (system?.role !== "system") return messages;
  if (first?.role !== "user") return [{ ...system, role: "user" }, ...messages.slice(1)];
  return [{ role: "user", content: `${system.content}\n\n${first.content}` }, ...rest];
}
