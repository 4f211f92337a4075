import { deleteChatSession } from "./api/chat-sessions-delete.ts";
import { defineRoute } from "./http/route.ts";

export const deleteChatSessionRoute = defineRoute(deleteChatSession).handle(
  async ({ params, query: { user_id }, audit }, { sessions }) => {
    const wasThere = await sessions.forget({ userId: user_id, sessionId: params.id });
    const deleted = wasThere ? 1 : 0;
    audit("session forgotten", { session_id: params.id, user_id, deleted });
    return { status: 200, body: { deleted } };
  },
);
