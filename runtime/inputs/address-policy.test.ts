import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addressProblem } from "./address-policy.ts";

const ipv4 = (octets: readonly number[]) => octets.join(".");
const bits = (octets: readonly number[]) => octets.reduce((value, octet) => value * 256 + octet, 0);
const octet = fc.integer({ min: 0, max: 255 });
const anyIpv4 = fc.tuple(octet, octet, octet, octet);

/** IANA's special-purpose registry and multicast, written down again, so that the library is not checked by itself. */
const specialIpv4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  ["168.63.129.16", 32],
];

function isSpecial(octets: readonly number[]): boolean {
  return specialIpv4.some(([network, length]) => {
    const size = 2 ** (32 - length);
    return Math.floor(bits(octets) / size) === Math.floor(bits(network.split(".").map(Number)) / size);
  });
}

const specialAddress = fc
  .tuple(fc.constantFrom(...specialIpv4), fc.nat({ max: 2 ** 32 - 1 }))
  .map(([[network, length], random]) => {
    const value = bits(network.split(".").map(Number)) + (random % 2 ** (32 - length));
    return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256);
  });

/** The same address in the forms in which IPv6 carries one of IPv4. */
const forms: Readonly<Record<string, (octets: readonly number[]) => string>> = {
  plain: ipv4,
  mapped: (octets) => `::ffff:${ipv4(octets)}`,
  "mapped, in hexadecimal": (octets) => `::ffff:${hex(octets)}`,
  "mapped, written out": (octets) => `0:0:0:0:0:FFFF:${hex(octets)}`,
  "through NAT64": (octets) => `64:ff9b::${ipv4(octets)}`,
  "through NAT64, in hexadecimal": (octets) => `0064:FF9B:0:0:0:0:${hex(octets)}`,
};

function hex(octets: readonly number[]): string {
  const pair = (at: number) => ((octets[at] ?? 0) * 256 + (octets[at + 1] ?? 0)).toString(16);
  return `${pair(0)}:${pair(2)}`;
}

describe.each(Object.entries(forms))("an IPv4 address, %s", (_name, form) => {
  it("is public when no registry has reserved it", () => {
    fc.assert(
      fc.property(anyIpv4, (octets) => {
        expect(addressProblem(form(octets), "public") === null).toBe(!isSpecial(octets));
      }),
      { numRuns: 2000 },
    );
  });

  it("is refused in every special range", () => {
    fc.assert(
      fc.property(specialAddress, (octets) => {
        expect(addressProblem(form(octets), "public")).not.toBeNull();
      }),
      { numRuns: 1000 },
    );
  });
});

describe("IPv6", () => {
  it("is never public outside 2000::/3, but for NAT64 to a public address", () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    const outside = fc
      .tuple(group, group, group, group, group, group, group, group)
      .filter(([first]) => (first & 0xe000) !== 0x2000);
    fc.assert(
      fc.property(outside, (groups) => {
        expect(addressProblem(groups.map((part) => part.toString(16)).join(":"), "public")).not.toBeNull();
      }),
    );
  });

  it.each([
    ["::", "unspecified"],
    ["::1", "loopback"],
    ["::7f00:1", "reserved"],
    ["::127.0.0.1", "reserved"],
    ["::93.184.216.34", "reserved"],
    ["::ffff:0:127.0.0.1", "rfc6145"],
    ["64:ff9b:1::a00:1", "rfc6052"],
    ["100::1", "discard"],
    ["2001::1", "teredo"],
    ["2001:db8::1", "reserved"],
    ["2002:7f00:1::", "6to4"],
    ["2002:5db8:d822::", "6to4"],
    ["3fff::1", "reserved"],
    ["fc00::1", "uniqueLocal"],
    ["fd00:ec2::254", "a metadata service"],
    ["fe80::1", "linkLocal"],
    ["fe80::1%eth0", "bound to a network card"],
    ["fec0::1", "deprecatedSiteLocal"],
    ["ff02::1", "multicast"],
  ])("%s is refused: %s", (address, problem) => {
    expect(addressProblem(address, "public")).toBe(problem);
  });

  it.each(["2606:4700::1111", "2a00:1450:4001::200e", "64:ff9b::5db8:d822"])("%s is public", (address) => {
    expect(addressProblem(address, "public")).toBeNull();
  });
});

describe("of a host that the operator has named", () => {
  it.each(["127.0.0.1", "10.1.2.3", "192.168.7.7", "100.101.102.103", "::1", "fd12:3456::1", "::ffff:10.0.0.1"])(
    "%s may be fetched from",
    (address) => {
      expect(addressProblem(address, "private")).toBeNull();
    },
  );

  it.each([
    "169.254.169.254",
    "fe80::1",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
  ])("%s may not", (address) => {
    expect(addressProblem(address, "private")).not.toBeNull();
  });
});

it.each(["", "localhost", "010.0.0.1", "0x7f.1", "2130706433", "127.1", "1.2.3.4.5", "[::1]"])(
  "%j is no address",
  (text) => {
    expect(addressProblem(text, "private")).toBe("not an address");
  },
);
