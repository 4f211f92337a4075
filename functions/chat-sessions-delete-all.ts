import { deleteChatSessions } from "./api/chat-sessions-delete-all.ts";
import { defineRoute } from "./http/route.ts";

export const deleteChatSessionsRoute = defineRoute(deleteChatSessions).handle(
  async ({ query: { user_id }, audit }, { sessions }) => {
    const deleted = await sessions.forgetAll(user_id);
    audit("sessions forgotten", { user_id, deleted });
    return { status: 200, body: { deleted } };
  },
);
