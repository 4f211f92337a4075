import { declareRoute } from "./declare.ts";
import { forgotten, sessionOwner, sessionParams } from "./schemas/chat-session.ts";

export const deleteChatSession = declareRoute({
  method: "DELETE",
  path: "/chat/sessions/:id",
  access: "key",
  summary: "Forget a conversation",
  description: "What is not there is no error: nothing is remembered of it either way.",
  params: sessionParams,
  query: sessionOwner,
  responses: { 200: forgotten },
  errors: ["SESSIONS_UNREACHABLE"],
});
