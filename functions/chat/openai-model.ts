import type { Runtime } from "#runtime/container/runtime.ts";
import type { Model } from "../api/chat-completions.ts";

/** A language model as OpenAI's clients read it. It is as old as the container's start: folders say nothing of that. */
export function openAiModel(id: string, { startedAtMs }: Pick<Runtime, "startedAtMs">): Model {
  return { id, object: "model", created: Math.floor(startedAtMs / 1000), owned_by: "ourvidz" };
}
