import { declareRoute } from "./declare.ts";
import { forgotten, sessionOwner } from "./schemas/chat-session.ts";

export const deleteChatSessions = declareRoute({
  method: "DELETE",
  path: "/chat/sessions",
  access: "key",
  summary: "Forget all conversations of a user",
  query: sessionOwner,
  responses: { 200: forgotten },
  errors: ["SESSIONS_UNREACHABLE"],
});
