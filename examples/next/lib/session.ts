import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { cookies } from "next/headers";
import type { User } from "./backend.ts";

/*
 * Who is signed in where there is no Supabase: a signed cookie, for trying the app out with one container. On the server alone.
 */
export interface Session extends User {
  readonly isAdmin: boolean;
}

const cookieName = "session";
const maxAgeSeconds = 7 * 86_400;

export async function readSession(): Promise<Session | null> {
  const [payload = "", signature = ""] = ((await cookies()).get(cookieName)?.value ?? "").split(".");
  if (payload === "" || !isEqual(signature, sign(payload))) return null;
  const { email, until } = JSON.parse(Buffer.from(payload, "base64url").toString());
  return until > Date.now() ? sessionOf(email) : null;
}

/** Null when the password is not the one of the demonstration. */
export async function startSession(email: string, password: string): Promise<Session | null> {
  const { DEMO_PASSWORD } = process.env;
  if (!DEMO_PASSWORD || !email.includes("@") || !isEqual(password, DEMO_PASSWORD)) return null;
  const until = Date.now() + maxAgeSeconds * 1000;
  const payload = Buffer.from(JSON.stringify({ email, until })).toString("base64url");
  const options = { httpOnly: true, sameSite: "lax", path: "/", maxAge: maxAgeSeconds } as const;
  (await cookies()).set(cookieName, `${payload}.${sign(payload)}`, options);
  return sessionOf(email);
}

export async function endSession(): Promise<void> {
  (await cookies()).delete(cookieName);
}

function sessionOf(email: string): Session {
  const admins = (process.env.ADMIN_EMAILS ?? "").split(",").map((each) => each.trim());
  const id = createHash("sha256").update(email.toLowerCase()).digest("hex").slice(0, 32);
  return { id, email, isAdmin: admins.includes(email) };
}

function sign(payload: string): string {
  const secret = process.env.SESSION_SECRET ?? "";
  if (secret.length < 32) throw new Error("SESSION_SECRET must have at least 32 characters.");
  return createHmac("sha256", secret).update(payload).digest("base64url");
}

/** In constant time, whatever the lengths. */
function isEqual(one: string, other: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
