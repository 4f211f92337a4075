import type { Access } from "./access.ts";
import { type Command, commandName } from "./command.ts";

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Would change the state of a connection that all requests share, or turn it into a stream. */
const connectionCommands = words(`
  AUTH HELLO SELECT CLIENT RESET QUIT ASKING READONLY READWRITE
  MULTI EXEC DISCARD WATCH UNWATCH
  SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE MONITOR
`);

/** Would make all requests on the shared connection wait. */
const blockingCommands = words("BLPOP BRPOP BLMOVE BRPOPLPUSH BLMPOP BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF");

/** Administer the server, its users or its replication, or (MIGRATE) make it connect to another one. */
const administrationCommands = words(`
  ACL BGREWRITEAOF BGSAVE CLUSTER CONFIG DEBUG FAILOVER LATENCY MIGRATE MODULE PFDEBUG PFSELFTEST PSYNC REPLCONF
  REPLICAOF SAVE SENTINEL SHUTDOWN SLAVEOF SLOWLOG SWAPDB SYNC
`);

/**
 * What the read-only token may run. A list of what is allowed, because a command that is not known must not pass; left
 * out are the reads that find keys and channels without knowing their names (KEYS, SCAN, RANDOMKEY, PUBSUB), as at Upstash.
 * Left out, unlike there, is what computes without end while Redis answers nobody: scripts and functions, also those that
 * only read, and LCS, whose time is the product of two lengths.
 */
const readCommands = words(`
  GET MGET GETRANGE SUBSTR STRLEN GETBIT BITCOUNT BITPOS BITFIELD_RO
  EXISTS TYPE TTL PTTL EXPIRETIME PEXPIRETIME SORT_RO DUMP
  HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HRANDFIELD HSCAN HTTL HPTTL HEXPIRETIME HPEXPIRETIME
  LRANGE LLEN LINDEX LPOS
  SMEMBERS SISMEMBER SMISMEMBER SCARD SRANDMEMBER SINTER SINTERCARD SUNION SDIFF SSCAN
  ZRANGE ZRANGEBYSCORE ZRANGEBYLEX ZREVRANGE ZREVRANGEBYSCORE ZREVRANGEBYLEX ZSCORE ZMSCORE ZCARD ZCOUNT ZLEXCOUNT
  ZRANK ZREVRANK ZRANDMEMBER ZINTER ZINTERCARD ZUNION ZDIFF ZSCAN
  GEODIST GEOHASH GEOPOS GEOSEARCH GEORADIUS_RO GEORADIUSBYMEMBER_RO PFCOUNT
  XLEN XRANGE XREVRANGE XREAD XPENDING XINFO
  JSON.GET JSON.MGET JSON.TYPE JSON.STRLEN JSON.ARRLEN JSON.ARRINDEX JSON.OBJKEYS JSON.OBJLEN JSON.RESP
  PING ECHO TIME DBSIZE SUBSCRIBE
`);

/** Why the command cannot be run by the holder of this access, in Upstash's words; null when it can. */
export function refusalOf(command: Command, access: Access): string | null {
  const name = commandName(command);
  if (connectionCommands.has(name)) {
    return `ERR Command "${name}" is not allowed in REST or it has a special context path`;
  }
  if (blockingCommands.has(name) || isBlockingRead(name, command)) {
    return `ERR Command is not available: '${name}'. It would block, which REST does not support`;
  }
  if (administrationCommands.has(name) || isScriptDebug(name, command)) {
    return `ERR Command is not available: '${name}'. It administers the server`;
  }
  return access === "full" ? null : readRefusalOf(name);
}

/** The part of `refusalOf` that concerns the read-only token; also for what is a route and no command, `PSUBSCRIBE`. */
export function readRefusalOf(name: string): string | null {
  if (readCommands.has(name)) return null;
  return `NOPERM this user has no permissions to run the '${name.toLowerCase()}' command or its subcommand`;
}

/** `XREAD [COUNT n] [BLOCK ms] STREAMS …`; XREADGROUP begins with `GROUP group consumer`, names that may be any word. */
function isBlockingRead(name: string, command: Command): boolean {
  if (name !== "XREAD" && name !== "XREADGROUP") return false;
  const options = command.slice(name === "XREADGROUP" ? 4 : 1).map((word) => word.toString().toUpperCase());
  const streams = options.indexOf("STREAMS");
  return (streams < 0 ? options : options.slice(0, streams)).includes("BLOCK");
}

function isScriptDebug(name: string, [, subcommand]: Command): boolean {
  return name === "SCRIPT" && subcommand?.toString().toUpperCase() === "DEBUG";
}
