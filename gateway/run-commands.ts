import { ErrorReply } from "redis";
import type { Access } from "./access.ts";
import type { Command } from "./command.ts";
import { refusalOf } from "./command-rules.ts";
import type { RedisLink } from "./redis-link.ts";
import type { Reply } from "./reply.ts";
import { contentTypes, type Encoding, encodeResp2, encodeResult, encodeResults } from "./reply-encoding.ts";
import { RestError } from "./rest-error.ts";
import type { CommandRoute } from "./route.ts";

/** An answer that is not a stream. */
export interface RestReply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Buffer;
}

export interface Batch {
  readonly route: CommandRoute;
  readonly commands: readonly Command[];
  readonly access: Access;
  readonly encoding: Encoding;
}

/** Redis cannot answer now, but will: clients that try again after a 5xx are right to. */
const passingErrors = /^(LOADING|BUSY|MASTERDOWN) /;

/**
 * Runs what a request asks for and encodes what comes of it.
 *
 * @throws RestError when it is refused, or Redis cannot be reached
 */
export async function runCommands(link: RedisLink, batch: Batch): Promise<RestReply> {
  const { route, encoding } = batch;
  if (route === "command") return answerOne(await runOne(link, batch), encoding);
  if (route === "pipeline") return answerAll(await runEach(link, batch), encoding);
  // A transaction's results are JSON whatever format is requested, as at Upstash.
  return answerAll(await runTransaction(link, batch), encoding === "resp2" ? "json" : encoding);
}

async function runOne(link: RedisLink, { commands, access }: Batch): Promise<Reply> {
  refuse(commands, access);
  const [reply = null] = await link.run(commands);
  return reply;
}

/** Not atomic: a refused command is an error in its place, and the others run. */
async function runEach(link: RedisLink, { commands, access }: Batch): Promise<readonly Reply[]> {
  const refusals = commands.map((command) => refusalOf(command, access));
  const allowed = commands.filter((_, index) => refusals[index] === null);
  const replies = (await link.run(allowed)).values();
  return refusals.map((refusal) => (refusal === null ? (replies.next().value ?? null) : new ErrorReply(refusal)));
}

async function runTransaction(link: RedisLink, { commands, access }: Batch): Promise<readonly Reply[]> {
  refuse(commands, access);
  const replies = await link.transact(commands);
  if (replies instanceof ErrorReply) throw new RestError(statusOf(replies), replies.message);
  return replies;
}

function refuse(commands: readonly Command[], access: Access): void {
  for (const command of commands) {
    const refusal = refusalOf(command, access);
    if (refusal !== null) throw new RestError(400, refusal);
  }
}

function answerAll(replies: readonly Reply[], encoding: Encoding): RestReply {
  const body = encoding === "resp2" ? encodeResp2(replies) : encodeResults(replies, encoding);
  return { status: 200, contentType: contentTypes[encoding], body };
}

function answerOne(reply: Reply, encoding: Encoding): RestReply {
  const body = encoding === "resp2" ? encodeResp2([reply]) : encodeResult(reply, encoding);
  return { status: statusOf(reply), contentType: contentTypes[encoding], body };
}

function statusOf(reply: Reply): number {
  if (!(reply instanceof ErrorReply)) return 200;
  return passingErrors.test(reply.message) ? 503 : 400;
}
