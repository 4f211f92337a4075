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
  const opens = (key: string | null) => key !== null && isOneOf(key, doors.serviceKeys);
  // A bearer token says who calls, whatever key it came through the gateway with.
  const isUserToken = bearer?.split(".").length === 3 && bearer !== doors.browserKey && !opens(bearer);
  const isService = opens(bearer) || opens(apiKey);
  if (allowed.includes("service") && isService && !(isUserToken && allowed.includes("user")))
    return { kind: "service" };
  if (!allowed.includes("user")) throw serviceOnly(isUserToken);
  if (bearer === null) throw new CodedError("UNAUTHORIZED", "Send the signed-in user's token: Authorization: Bearer …");
  if (!isUserToken) {
    const message = "Authorization holds no user's token, perhaps a key of the project: sign in first.";
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
function isOneOf(key: string, keys: readonly string[]): boolean {
  return keys.map((known) => isSame(key, known)).includes(true);
}
