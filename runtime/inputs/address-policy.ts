import { isIP, isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";

/*
 * Which addresses a reference file may come from. Only what is global unicast is public: everything that a registry
 * has reserved is refused, so that a range that nobody thought of is refused too.
 */

/** `private` also lets loopback, private and shared (CGNAT) networks in: for hosts that the operator has named. */
export type Reach = "public" | "private";

/** Services that hand out a machine's credentials, at addresses that are not link-local. */
const metadataAddresses = new Set(["168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]);

const privateRanges = new Set<string>(["private", "loopback", "carrierGradeNat", "uniqueLocal"]);

/** What keeps this address from being fetched from: the name of its range; null when nothing does. */
export function addressProblem(address: string, reach: Reach): string | null {
  // Stricter than ipaddr.js, which also reads 0x7f.1 and 010.0.0.1, in another way than some systems do.
  if (isIP(address) === 0) return "not an address";
  if (address.includes("%")) return "bound to a network card";
  return rangeProblem(ipaddr.parse(canonical(address)), reach);
}

/** In groups of hexadecimal digits: ipaddr.js takes `::a.b.c.d` for `::ffff:a.b.c.d`, and nothing else does. */
function canonical(address: string): string {
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

function rangeProblem(address: ipaddr.IPv4 | ipaddr.IPv6, reach: Reach): string | null {
  const embedded = address instanceof ipaddr.IPv6 ? embeddedAddress(address) : null;
  if (embedded !== null) return rangeProblem(embedded, reach);
  if (metadataAddresses.has(address.toString())) return "a metadata service";
  const range = address.range();
  if (range === "unicast") return address instanceof ipaddr.IPv6 && !isGlobalUnicast(address) ? "reserved" : null;
  return reach === "private" && privateRanges.has(range) ? null : range;
}

/** RFC 4291: 2000::/3 is all that has been given out. The rest, `::a.b.c.d` among it, leads nowhere or somewhere odd. */
function isGlobalUnicast({ parts }: ipaddr.IPv6): boolean {
  return ((parts[0] ?? 0) & 0xe000) === 0x2000;
}

/**
 * The IPv4 address that is really reached: of `::ffff:a.b.c.d`, and of `64:ff9b::a.b.c.d` (RFC 6052), by which networks
 * without IPv4 reach the rest. Tunnels that need no cooperation (6to4, Teredo) have ranges of their own and are refused.
 */
function embeddedAddress(address: ipaddr.IPv6): ipaddr.IPv4 | null {
  const bytes = address.toByteArray();
  const isEmbedding = [mappedPrefix, nat64Prefix].some((prefix) =>
    prefix.every((byte, index) => bytes[index] === byte),
  );
  return isEmbedding ? new ipaddr.IPv4(bytes.slice(12)) : null;
}

const mappedPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const nat64Prefix = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
