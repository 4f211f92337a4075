import { getChatSession } from "./api/chat-sessions-get.ts";
import { HttpError } from "./errors.ts";
import { defineRoute } from "./http/route.ts";

export const getChatSessionRoute = defineRoute(getChatSession).handle(async ({ params, query }, { sessions }) => {
  const { user_id } = query;
  const session = await sessions.read({ userId: user_id, sessionId: params.id });
  if (session === null) throw new HttpError("NOT_FOUND", "Nothing is remembered of a session of this id and user.");
  const turns = session.turns.map(({ prompt, response, createdAtMs }) => ({
    prompt,
    response,
    created_at: new Date(createdAtMs).toISOString(),
  }));
  const expires_at = new Date(session.expiresAtMs).toISOString();
  return { status: 200, body: { session_id: params.id, user_id, turns, expires_at } };
});
