import { lookup } from "node:dns/promises";
import { connect, isIPv6, type Socket } from "node:net";

/** The way out: names to addresses, and connections to addresses. */
export interface Network {
  /** All addresses of a host. */
  resolve(hostname: string): Promise<readonly string[]>;
  /** Opens a connection to whichever of these addresses answers first. Names play no part in it. */
  connect(addresses: readonly string[], port: number): Socket;
  /** PEM certificates to trust instead of the system's. */
  readonly certificates?: string;
}

export const systemNetwork: Network = {
  async resolve(hostname) {
    return (await lookup(hostname, { all: true })).map(({ address }) => address);
  },
  connect(addresses, port) {
    const found = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
    return connect({
      // Never resolved here: the addresses were looked up and checked before. A second look-up could give others.
      host: "checked.invalid",
      port,
      autoSelectFamily: true,
      lookup: (_hostname, _options, callback) => callback(null, found),
    });
  },
};
