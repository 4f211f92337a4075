import { CodedError } from "../errors.ts";
import { isSame } from "../signature.ts";
import type { User, VerifyUser } from "./user-token.ts";

/** Who calls: a signed-in user of the app, or the project itself (a container, the app's own server). */
export type Caller = ({ readonly kind: "user" } & User) | { readonly kind: "service" };
export type CallerKind = Caller["kind"];

export interface Doors {
  readonly serviceKeys: readonly string[];
  readonly browserKey: string;
  readonly verifyUser: VerifyUser;
}

/**
 * Who sent a request. Service keys come as bearer (old keys are JWTs) or on `apikey` (new ones are not).
 *
 * @throws CodedError UNAUTHORIZED, FORBIDDEN, AUTH_UNREACHABLE
 */
export async function identify(headers: Headers, allowed: readonly CallerKind[], doors: Doors): Promise<Caller> {
  const bearer = bearerOf(headers);
  const apiKey = headers.get("apikey");
  const isService = [bearer, apiKey].some((key) => key !== null && opens(key, doors.serviceKeys));
  if (isService && allowed.includes("service")) return { kind: "service" };
  const hasUserToken = bearer !== null && bearer !== doors.browserKey && bearer.split(".").length === 3;
  if (!allowed.includes("user")) throw serviceOnly(hasUserToken);
  if (bearer === null) throw new CodedError("UNAUTHORIZED", "Send the signed-in user's token: Authorization: Bearer …");
  if (bearer === doors.browserKey || bearer.startsWith("sb_") || isService) {
    const message = "Authorization holds a key of the project, not a user's token: sign in first.";
    throw new CodedError("UNAUTHORIZED", message);
  }
  return { kind: "user", ...(await doors.verifyUser(bearer)) };
}

function serviceOnly(isSignedIn: boolean): CodedError {
  // A user's token is not looked at here: whoever it belongs to, it does not open this function.
  if (isSignedIn) return new CodedError("FORBIDDEN", "Only the project itself may call this: send its service key.");
  return new CodedError("UNAUTHORIZED", "The project's service key is missing or wrong.");
}

function bearerOf(headers: Headers): string | null {
  const [, token] = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "") ?? [];
  return token ?? null;
}

/** Compares with every key, so that the time does not tell which one was nearest. */
function opens(key: string, keys: readonly string[]): boolean {
  return keys.map((known) => isSame(key, known)).includes(true);
}
