import process from "node:process";
import { Template } from "@huggingface/jinja";
import { type RenderReport, renderRequest, type TemplateTask, templateTask } from "./template-messages.ts";

/*
 * A chat template in a process of its own. It is a program that came with the weights: there it can be ended when it does not
 * end by itself, and what it takes of memory is its own. Of a thread that is not so: where its limit is met within one large
 * allocation, V8 ends the whole process.
 */
class Refusal extends Error {}

/** The library's own function of this name throws what its faults throw too, and no other can take its place. */
const raise = { theirs: "raise_exception", ours: "raise_refusal" } as const;

function render(template: Template, { marks }: TemplateTask, messages: unknown): RenderReport {
  const values = {
    ...marks,
    messages: renderRequest.parse(messages),
    tools: null,
    documents: null,
    add_generation_prompt: true,
    [raise.ours]: (problem: unknown): never => {
      throw new Refusal(String(problem));
    },
  };
  try {
    return { kind: "text", text: template.render(values) };
  } catch (error) {
    return { kind: error instanceof Refusal ? "refused" : "failed", problem: messageOf(error) };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function report(what: RenderReport): void {
  process.send?.(what);
}

function serve(task: TemplateTask): void {
  try {
    const template = new Template(task.source.replaceAll(raise.theirs, raise.ours));
    process.on("message", (messages) => report(render(template, task, messages)));
    report({ kind: "ready" });
  } catch (error) {
    report({ kind: "broken", problem: messageOf(error) });
  }
}

process.once("message", (task) => serve(templateTask.parse(task)));
process.once("disconnect", () => process.exit());
