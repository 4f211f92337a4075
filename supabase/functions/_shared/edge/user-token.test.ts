import { createServer, type Server } from "node:http";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createUserVerifier, type VerifyUser } from "./user-token.ts";

/* What a token says, with right signatures: an auth server on loopback, whose answers can be spoiled. */
const userId = "7b0d7f8e-3a43-4b0a-9a55-1f0a4c1f0001";
const secret = new TextEncoder().encode("the old secret of the project, long enough for HS256");
const keys = await generateKeyPair("ES256", { extractable: true });
let server: Server;
let url: string;
let verify: VerifyUser;
let spoilt: { status: number; body: string } | undefined;
let keyRequests = 0;

beforeAll(async () => {
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: "one", alg: "ES256" }] });
  server = createServer((request, response) => {
    const isKeys = request.url === "/auth/v1/.well-known/jwks.json";
    if (isKeys) keyRequests += 1;
    const { status, body } = spoilt ?? { status: 200, body: isKeys ? jwks : JSON.stringify({ id: userId }) };
    response.writeHead(status, { "content-type": "application/json" }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
});
afterAll(() => server.close().closeAllConnections());
beforeEach(() => {
  spoilt = undefined;
  keyRequests = 0;
  verify = createUserVerifier({ supabaseUrl: url, browserKey: "anon", issuers: [`${url}/auth/v1`] });
});

const kinds = ["ES256", "HS256"] as const;

function sign(kind: (typeof kinds)[number], claims: JWTPayload = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const all = {
    sub: userId,
    role: "authenticated",
    aud: "authenticated",
    iss: `${url}/auth/v1`,
    exp: now + 3600,
    ...claims,
  };
  return new SignJWT(all)
    .setProtectedHeader({ alg: kind, kid: "one" })
    .sign(kind === "ES256" ? keys.privateKey : secret);
}
const refusal = (token: Promise<string>) =>
  token.then(verify).then(
    () => "taken",
    (error: { readonly code: string; readonly message: string }) => `${error.code} ${error.message}`,
  );

describe.each(kinds)("a token signed with %s", (kind) => {
  test("is a user", async () => {
    const claims = { app_metadata: { plan: "pro" }, aud: ["authenticated", "other"] };
    const token = await sign(kind, claims);
    expect(await verify(token)).toMatchObject({ id: userId, token, claims });
  });

  test.each<[string, JWTPayload, string]>([
    ["has expired", { exp: 1_700_000_000 }, "expired"],
    ["never expires", { exp: undefined }, ""],
    ["is not valid yet", { nbf: 9_999_999_999 }, ""],
    ["another project issued", { iss: "https://other.supabase.co/auth/v1" }, "another project"],
    ["nobody issued", { iss: undefined }, "another project"],
    ["is for another audience", { aud: "admin" }, ""],
    ["is for no audience", { aud: undefined }, ""],
    ["is a key of the project", { role: "service_role" }, "signed-in user"],
    ["is no user's", { sub: "service" }, ""],
  ])("is refused when it %s", async (_what, claims, words) => {
    const refused = await refusal(sign(kind, claims));
    expect(refused).toMatch(/^UNAUTHORIZED /);
    expect(refused).toContain(words);
  });

  test("is not judged while the auth server is away", async () => {
    for (const broken of [
      { status: 503, body: "{}" },
      { status: 429, body: "{}" },
    ]) {
      spoilt = broken;
      expect(await refusal(sign(kind))).toMatch(/^AUTH_UNREACHABLE /);
    }
    const nobody = createUserVerifier({
      supabaseUrl: "http://127.0.0.1:9",
      browserKey: "anon",
      issuers: [`${url}/auth/v1`],
    });
    await expect(sign(kind).then(nobody)).rejects.toMatchObject({ code: "AUTH_UNREACHABLE" });
  });
});

test("the project's keys are asked for once", async () => {
  for (let call = 0; call < 5; call += 1) await verify(await sign("ES256"));
  expect(keyRequests).toBe(1);
});

test("a user whom the auth server does not confirm is refused", async () => {
  spoilt = { status: 200, body: JSON.stringify({ id: "someone else" }) };
  expect(await refusal(sign("HS256"))).toMatch(/^UNAUTHORIZED /);
  spoilt = { status: 200, body: "<html>" };
  expect(await refusal(sign("HS256"))).toMatch(/^UNAUTHORIZED /);
});
