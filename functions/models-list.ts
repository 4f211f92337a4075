import { listModels } from "./api/chat-completions.ts";
import { languageModels } from "./chat/language-models.ts";
import { openAiErrorResponse } from "./chat/openai-errors.ts";
import { defineRoute } from "./http/route.ts";

export const listModelsRoute = defineRoute(listModels, { answerError: openAiErrorResponse }).handle(
  async (_request, runtime) => {
    const created = Math.floor(runtime.startedAtMs / 1000);
    const names = await languageModels(runtime);
    const data = names.map((id) => ({ id, object: "model" as const, created, owned_by: "ourvidz" }));
    return { status: 200, body: { object: "list", data } };
  },
);
