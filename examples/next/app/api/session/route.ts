import { endSession, readSession, startSession } from "@/lib/session";
import { refuse } from "@/lib/worker";

/* Signing in where there is no Supabase. */

export async function GET(): Promise<Response> {
  return Response.json({ user: await readSession() });
}

export async function POST(request: Request): Promise<Response> {
  const { email = "", password = "" } = await request.json();
  const user = await startSession(String(email), String(password));
  return user === null ? refuse(401, "This e-mail address and password do not go together.") : Response.json({ user });
}

export async function DELETE(): Promise<Response> {
  await endSession();
  return Response.json({ user: null });
}
