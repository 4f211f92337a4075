import {
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
} from "jose";
import { z } from "zod";
import { CodedError } from "../errors.ts";
import type { EdgeConfig } from "./environment.ts";

/** A signed-in user of the app. */
export interface User {
  readonly id: string;
  /** As it was sent, for calls that the user's own rights decide on. */
  readonly token: string;
  readonly claims: JWTPayload;
}

export type VerifyUser = (token: string) => Promise<User>;

/**
 * Algorithms of a project's signing keys. HS256 is that of its old secret, which functions do not have: such a token is
 * shown to the auth server. Every other one, `none` among them, is refused by its name.
 */
const signingKeys = ["ES256", "RS256", "EdDSA"];
const oldSecret = "HS256";

const audience = "authenticated";
const maxTokenCharacters = 8192;
const clockToleranceSeconds = 10;
const requestTimeoutMs = 5_000;

const claimsOfUser = z.looseObject({ sub: z.uuid(), role: z.literal("authenticated") });
const userOfServer = z.looseObject({ id: z.string() });

/** Verifies users' tokens; the project's keys are kept between calls. */
export function createUserVerifier({
  supabaseUrl,
  browserKey,
  issuers,
}: Pick<EdgeConfig, "supabaseUrl" | "browserKey" | "issuers">): VerifyUser {
  const keys = createRemoteJWKSet(new URL(`${supabaseUrl}/auth/v1/.well-known/jwks.json`), {
    timeoutDuration: requestTimeoutMs,
    [customFetch]: boundedFetch,
    // A token of a key that is not known asks for the keys again, at most this often.
    cooldownDuration: 10_000,
  });
  const options = { issuer: [...issuers], audience, clockTolerance: clockToleranceSeconds, requiredClaims: ["exp"] };

  async function verified(token: string, algorithm: string | undefined): Promise<JWTPayload> {
    if (algorithm === oldSecret) return shownToServer(token);
    const { payload } = await jwtVerify(token, keys, { ...options, algorithms: signingKeys });
    return payload;
  }

  /** The server answers for the signature; what the token says is checked here, as with the other kind. */
  async function shownToServer(token: string): Promise<JWTPayload> {
    const claims = decodeJwt(token);
    checkClaims(claims, issuers);
    const response = await boundedFetch(`${supabaseUrl}/auth/v1/user`, {
      headers: { apikey: browserKey, Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
    const body: unknown = await response.json().catch(() => undefined);
    const user = userOfServer.safeParse(body);
    if (!response.ok || !user.success || user.data.id !== claims.sub) throw refused("it is not one of this project's");
    return claims;
  }

  return async (token) => {
    try {
      if (token.length > maxTokenCharacters) throw refused("it is too long");
      const claims = await verified(token, decodeProtectedHeader(token).alg);
      const known = claimsOfUser.safeParse(claims);
      if (!known.success) throw refused("it is not that of a signed-in user");
      return { id: known.data.sub, token, claims };
    } catch (error) {
      throw asCodedError(error);
    }
  };
}

/** What `jwtVerify` checks of a token besides its signature. */
function checkClaims(claims: JWTPayload, issuers: readonly string[]): void {
  const nowSeconds = Date.now() / 1000;
  if (claims.exp === undefined || claims.exp + clockToleranceSeconds < nowSeconds) throw expired();
  if (claims.nbf !== undefined && claims.nbf - clockToleranceSeconds > nowSeconds) throw refused("it is not valid yet");
  if (claims.iss === undefined || !issuers.includes(claims.iss)) throw refused("another project issued it");
  const audiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
  if (!audiences.includes(audience)) throw refused("it is for another audience");
}

function asCodedError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  if (error instanceof errors.JWTExpired) return expired();
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refused(error.claim === "iss" ? "another project issued it" : `its claim "${error.claim}" is wrong`);
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return refused("its algorithm is not allowed");
  return refused("it is not one of this project's");
}

/** A server that does not answer says nothing about the token. */
async function boundedFetch(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init).catch((error: unknown) => {
    throw unreachable(error instanceof Error ? error.message : "an unknown reason");
  });
  if (response.status >= 500 || response.status === 429) throw unreachable(`it answered ${response.status}`);
  return response;
}

function expired(): CodedError {
  return new CodedError("UNAUTHORIZED", "The user's token has expired: sign in again.");
}

function refused(why: string): CodedError {
  return new CodedError("UNAUTHORIZED", `The user's token is refused: ${why}.`);
}

function unreachable(why: string): CodedError {
  return new CodedError("AUTH_UNREACHABLE", `The project's auth server cannot be reached: ${why}.`);
}
