import type { IncomingHttpHeaders } from "node:http";
import { SignJWT } from "jose";
import { storageErrors } from "./storage-error.ts";

/*
 * Who may do what, as at Supabase: a legacy service key is a JWT and comes on `Authorization`; a secret key
 * (`sb_secret_…`) is none and comes on `apikey`, for which the gateway puts a JWT in its place. A secret key as a bearer
 * token alone is refused like any text that is not a JWT.
 */
export interface StorageKeys {
  readonly serviceKey: string;
  readonly secretKey: string;
}

export async function newStorageKeys(): Promise<StorageKeys> {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const serviceKey = await new SignJWT({ role: "service_role", iss: "supabase" })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuedAt()
    .sign(key);
  return { serviceKey, secretKey: `sb_secret_${Buffer.from(key.subarray(0, 22)).toString("base64url")}` };
}

/** @throws StorageError unless the request bears a service key */
export function checkAccess(headers: IncomingHttpHeaders, keys: StorageKeys): void {
  const { apikey } = headers;
  const bearer = /^Bearer\s+(.*)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
  if (typeof apikey === "string" && apikey.startsWith("sb_")) {
    if (apikey !== keys.secretKey) throw storageErrors.unknownApiKey();
    if (bearer === "" || bearer === apikey) return;
  }
  if (bearer === keys.serviceKey) return;
  if (bearer === "") throw storageErrors.invalidRequest("headers must have required property 'authorization'");
  if (bearer.split(".").length !== 3) throw storageErrors.unauthorized("Invalid Compact JWS");
  throw storageErrors.unauthorized("signature verification failed");
}
