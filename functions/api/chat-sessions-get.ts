import { declareRoute } from "./declare.ts";
import { chatSession, sessionOwner, sessionParams } from "./schemas/chat-session.ts";

export const getChatSession = declareRoute({
  method: "GET",
  path: "/chat/sessions/:id",
  access: "key",
  summary: "What is remembered of a conversation",
  description: "Not found is what never was, has expired or was forgotten, and what is another user's.",
  params: sessionParams,
  query: sessionOwner,
  responses: { 200: chatSession },
  errors: ["NOT_FOUND", "SESSIONS_UNREACHABLE"],
});
