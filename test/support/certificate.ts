import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findProgram, installPackage } from "./machine.ts";

export interface TestCertificate {
  /** PEM; also the authority that a client has to trust. */
  readonly cert: string;
  readonly key: string;
}

/** A certificate for these hosts (`files.example.test`, `*.example.test`) and addresses, signed by itself, for a day. */
export async function makeCertificate(names: readonly string[]): Promise<TestCertificate> {
  if ((await findProgram("openssl")) === undefined) await installPackage("openssl", "openssl, for certificates");
  const subjects = names.map((name) => (/^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`));
  const { stdout } = await promisify(execFile)("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "1"],
    ...["-subj", "/CN=ourvidz tests", "-addext", `subjectAltName=${subjects.join(",")}`],
    ...["-keyout", "-", "-out", "-"],
  ]);
  const [key] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(stdout) ?? [];
  const [cert] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(stdout) ?? [];
  if (key === undefined || cert === undefined) throw new Error("openssl made no certificate");
  return { cert, key };
}
