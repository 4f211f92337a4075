import { parentPort, workerData } from "node:worker_threads";
import { Template } from "@huggingface/jinja";

/*
 * A chat template on a thread of its own. It is a program that came with the weights: there it can be ended when it does not
 * end by itself, and has no more memory than the thread.
 */
export interface TemplateTask {
  readonly source: string;
  readonly marks: Readonly<Record<string, string>>;
}

export interface RenderRequest {
  readonly id: number;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}

export type RenderReport =
  | { readonly kind: "ready" }
  /** The template is not one that can be read. */
  | { readonly kind: "broken"; readonly problem: string }
  | { readonly kind: "text"; readonly id: number; readonly text: string }
  /** The template itself says that it does not take these messages. */
  | { readonly kind: "refused"; readonly id: number; readonly problem: string }
  | { readonly kind: "failed"; readonly id: number; readonly problem: string };

class Refusal extends Error {}

/** The library's own function of this name throws what its faults throw too, and no other can take its place. */
const raise = { theirs: "raise_exception", ours: "raise_refusal" } as const;

function render(template: Template, { marks }: TemplateTask, { id, messages }: RenderRequest): RenderReport {
  const values = {
    ...marks,
    messages,
    tools: null,
    documents: null,
    add_generation_prompt: true,
    [raise.ours]: (problem: unknown): never => {
      throw new Refusal(String(problem));
    },
  };
  try {
    return { kind: "text", id, text: template.render(values) };
  } catch (error) {
    return { kind: error instanceof Refusal ? "refused" : "failed", id, problem: messageOf(error) };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function serve(task: TemplateTask, report: (what: RenderReport) => void): void {
  try {
    const template = new Template(task.source.replaceAll(raise.theirs, raise.ours));
    parentPort?.on("message", (request: RenderRequest) => report(render(template, task, request)));
    report({ kind: "ready" });
  } catch (error) {
    report({ kind: "broken", problem: messageOf(error) });
  }
}

serve(workerData, (what) => parentPort?.postMessage(what));
