import { randomBytes } from "node:crypto";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, jwtVerify, SignJWT } from "jose";
import type { Caller } from "./database.ts";

/** Keys and tokens of one project, old and new: what its gateway gives out and what it recognises. */
export interface ProjectKeys {
  /** `anon` and `service_role` as JWTs, as older projects have them. */
  readonly anonKey: string;
  readonly serviceKey: string;
  readonly publishableKey: string;
  readonly secretKey: string;
  readonly jwks: { readonly keys: readonly JWK[] };
  /** A signed-in user's token: by the project's key pair, or by the shared secret of older projects. */
  userToken(userId: string, options?: TokenOptions): Promise<string>;
  /** The caller that a key or a token stands for; undefined when it is not one of ours, or not any more. */
  callerOf(keyOrToken: string): Promise<Caller | undefined>;
}

export interface TokenOptions {
  readonly legacy?: boolean;
  /** Seconds from now; less than nothing for one that has expired. */
  readonly expiresInSeconds?: number;
}

const audience = "authenticated";
const issuedFor = "supabase-test";

export async function makeProjectKeys(): Promise<ProjectKeys> {
  const secret = randomBytes(32);
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk: JWK = {
    ...(await exportJWK(publicKey)),
    kid: "project-key",
    alg: "ES256",
    use: "sig",
    key_ops: ["verify"],
  };
  const inTenYears = Math.floor(Date.now() / 1000) + 315_360_000;
  const apiKey = (role: string) =>
    new SignJWT({ role, ref: issuedFor })
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .setIssuer("supabase")
      .setIssuedAt()
      .setExpirationTime(inTenYears)
      .sign(secret);
  const [anonKey, serviceKey] = await Promise.all([apiKey("anon"), apiKey("service_role")]);
  const publishableKey = `sb_publishable_${randomBytes(18).toString("base64url")}`;
  const secretKey = `sb_secret_${randomBytes(24).toString("base64url")}`;
  return {
    anonKey,
    serviceKey,
    publishableKey,
    secretKey,
    jwks: { keys: [jwk] },
    userToken(userId, { legacy = false, expiresInSeconds = 3600 } = {}) {
      const seconds = Math.floor(Date.now() / 1000);
      const token = new SignJWT({ role: "authenticated", email: `${userId}@example.com`, session_id: userId })
        .setProtectedHeader(legacy ? { alg: "HS256", typ: "JWT" } : { alg: "ES256", typ: "JWT", kid: "project-key" })
        .setSubject(userId)
        .setAudience(audience)
        .setIssuer(`https://${issuedFor}.example/auth/v1`)
        .setIssuedAt(seconds - 3600)
        .setExpirationTime(seconds + expiresInSeconds);
      return legacy ? token.sign(secret) : token.sign(privateKey);
    },
    async callerOf(keyOrToken) {
      if (keyOrToken === secretKey) return { role: "service_role" };
      if (keyOrToken === publishableKey) return { role: "anon" };
      const claims = await readClaims(keyOrToken, { secret, publicKey });
      const role = claims?.role;
      if (role === "anon" || role === "service_role") return { role };
      return role === "authenticated" && typeof claims?.sub === "string" ? { role, userId: claims.sub } : undefined;
    },
  };
}

async function readClaims(
  token: string,
  keys: { readonly secret: Uint8Array; readonly publicKey: CryptoKey },
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const verify = (key: CryptoKey | Uint8Array, algorithm: string) =>
    jwtVerify(token, key, { algorithms: [algorithm] }).then(
      ({ payload }) => payload,
      () => undefined,
    );
  return (await verify(keys.secret, "HS256")) ?? (await verify(keys.publicKey, "ES256"));
}
