import { getModel } from "./api/chat-completions.ts";
import { checkLanguageModel } from "./chat/language-models.ts";
import { openAiErrors } from "./chat/openai-errors.ts";
import { openAiModel } from "./chat/openai-model.ts";
import { defineRoute } from "./http/route.ts";

export const getModelRoute = defineRoute(getModel, { errorForm: openAiErrors }).handle(async ({ params }, runtime) => {
  await checkLanguageModel(params.id, runtime);
  return { status: 200, body: openAiModel(params.id, runtime) };
});
