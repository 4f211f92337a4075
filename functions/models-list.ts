import { listModels } from "./api/chat-completions.ts";
import { languageModels } from "./chat/language-models.ts";
import { openAiErrors } from "./chat/openai-errors.ts";
import { openAiModel } from "./chat/openai-model.ts";
import { defineRoute } from "./http/route.ts";

export const listModelsRoute = defineRoute(listModels, { errorForm: openAiErrors }).handle(
  async (_request, runtime) => {
    const names = await languageModels(runtime);
    return { status: 200, body: { object: "list", data: names.map((name) => openAiModel(name, runtime)) } };
  },
);
