import { isIP } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { hostOf } from "./address-guard.ts";
import type { Network } from "./network.ts";

/**
 * All addresses of the host of an address, to be checked before one of them is connected to.
 * @throws what the look-up failed of; the signal's reason when it is aborted
 */
export async function addressesOf(url: URL, network: Network, signal: AbortSignal): Promise<readonly string[]> {
  const host = hostOf(url);
  if (isIP(host) !== 0) return [host];
  const addresses = await abortable(network.resolve(host), signal);
  if (addresses.length === 0) throw new Error("the host has no address");
  return addresses;
}

/** A connection to one of these addresses, secured as the address says. Names play no part in where it goes. */
export function openConnection(url: URL, addresses: readonly string[], network: Network) {
  const isSecure = url.protocol === "https:";
  const socket = network.connect(addresses, Number(url.port || (isSecure ? 443 : 80)));
  if (!isSecure) return socket;
  const host = hostOf(url);
  return tlsConnect({
    socket,
    host,
    // Servers are not named by their address in the handshake (RFC 6066); the certificate is checked against `host`.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(network.certificates === undefined ? {} : { ca: network.certificates }),
    ALPNProtocols: ["http/1.1"],
  });
}

/** A look-up cannot be called off; it can be left alone. */
async function abortable<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
