import { jwtVerify, SignJWT } from "jose";
import { storageErrors } from "./storage-error.ts";

/* Signed addresses of the storage service: a token that names the object, `<bucket>/<path>`, and expires. */
export class UrlSigner {
  readonly #key = crypto.getRandomValues(new Uint8Array(32));
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Path and query, to be put behind `/storage/v1`. */
  async sign(name: string, seconds: number): Promise<string> {
    const issuedAt = Math.floor(this.#nowMs() / 1000);
    const token = await new SignJWT({ url: name })
      .setProtectedHeader({ alg: "HS256" })
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + seconds)
      .sign(this.#key);
    return `/object/sign/${name}?token=${token}`;
  }

  /** @throws StorageError for a token that is not of this object, or has expired */
  async verify(name: string, token: string | null): Promise<void> {
    const payload = await jwtVerify(token ?? "", this.#key, { currentDate: new Date(this.#nowMs()) }).then(
      (verified) => verified.payload,
      (error: Error) => {
        throw storageErrors.invalidToken(error.message);
      },
    );
    if (payload.url !== name) throw storageErrors.invalidToken("Invalid signature");
  }
}
