import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { z } from "zod";
import { invalidJob, modelInvalid, type PipelineError } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import type { ChatTurn } from "./request.ts";
import type { RenderReport, TemplateTask } from "./template-thread.ts";

const named = z.array(z.looseObject({ name: z.string(), template: z.string() }));
const templateFile = z.looseObject({ chat_template: z.union([z.string(), named]).nullish() });

/** Time for one conversation; a template of a published model takes a thousandth of it. */
const defaultLimitMs = 5000;
const maxMegabytes = 512;
/**
 * V8's own limit is far above: where it is met within one large allocation, V8 ends the whole process and not the thread. So the
 * thread's heap is looked at while it writes, often enough that it cannot come there.
 */
const lastResortMegabytes = 4096;
const lookEveryMs = 25;

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
  #thread: Thread | undefined;
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
      void template.dispose();
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

  /** Ends the thread; a later {@link render} starts another. */
  async dispose(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.end();
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
      this.#thread ??= await Thread.start({ source: this.#source.text, marks: this.#marks }, this.#limitMs);
      return await this.#thread.render(messages);
    } catch (error) {
      // Not waited for: what the thread does may be one step of the library's that takes minutes.
      void this.dispose();
      throw this.#invalid(error instanceof Error ? error.message : String(error));
    }
  }

  #invalid(problem: string): PipelineError {
    return modelInvalid(this.#source.path, problem);
  }
}

type Answer = Exclude<RenderReport, { readonly kind: "ready" | "broken" }>;

/** One thread with the template; an error of its methods ends its use. */
class Thread {
  readonly #worker: Worker;
  readonly #limitMs: number;
  #last: Promise<unknown> = Promise.resolve();
  #nextId = 0;

  private constructor(worker: Worker, limitMs: number) {
    this.#worker = worker;
    this.#limitMs = limitMs;
  }

  static async start(workerData: TemplateTask, limitMs: number): Promise<Thread> {
    const worker = new Worker(new URL("template-thread.ts", import.meta.url), {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: lastResortMegabytes },
    });
    worker.unref();
    // Of one that is being ended nobody else hears, and an error without a listener would end this process.
    worker.on("error", () => undefined);
    const thread = new Thread(worker, limitMs);
    // The time of a start is the machine's.
    const report = await thread.#next(undefined);
    if (report.kind === "broken") {
      void thread.end();
      throw new Error(`the chat template cannot be read: ${report.problem}`);
    }
    return thread;
  }

  render(messages: readonly ChatTurn[]): Promise<Answer> {
    const result = this.#last.then(async () => {
      this.#worker.postMessage({ id: this.#nextId++, messages });
      const report = await this.#next(this.#limitMs);
      if (report.kind === "ready" || report.kind === "broken") throw new RangeError("the thread started twice");
      return report;
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  /** The next report. @throws Error when the thread dies, or has not reported in time */
  #next(limitMs: number | undefined): Promise<RenderReport> {
    const worker = this.#worker;
    // Not to be waited for by a process that has nothing else to do, but by whoever waits for the report.
    worker.ref();
    return new Promise<RenderReport>((resolve, reject) => {
      const fail = (problem: string) => settle(() => reject(new Error(problem)));
      const tooLong = () => fail(`the chat template does not end within ${Number(limitMs) / 1000} s`);
      const limit = limitMs === undefined ? undefined : setTimeout(tooLong, limitMs);
      const looks = setInterval(async () => {
        if ((await usedMegabytes(worker)) > maxMegabytes)
          fail(`the chat template takes more memory than the ${maxMegabytes} MB that it may`);
      }, lookEveryMs);
      const settle = (how: () => void) => {
        clearTimeout(limit);
        clearInterval(looks);
        worker.off("message", onMessage).off("error", onError).off("exit", onExit).unref();
        how();
      };
      const onMessage = (report: RenderReport) => settle(() => resolve(report));
      const onError = (error: Error) => fail(`the chat template fails: ${error.message}`);
      const onExit = () => fail("the chat template's thread has ended");
      worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    });
  }
}

/** 0 while the thread begins or ends. */
async function usedMegabytes(worker: Worker): Promise<number> {
  const statistics = await worker.getHeapStatistics().catch(() => undefined);
  return (statistics?.total_heap_size ?? 0) / 2 ** 20;
}

/** For templates without a place for it: the system's text before that of the user's first message. */
function withoutSystem(messages: readonly ChatTurn[]): readonly ChatTurn[] {
  const [system, first, ...rest] = messages;
  if (system?.role !== "system") return messages;
  if (first?.role !== "user") return [{ ...system, role: "user" }, ...messages.slice(1)];
  return [{ role: "user", content: `${system.content}\n\n${first.content}` }, ...rest];
}
