import { ClientClosedError, ClientOfflineError, createClient, ErrorReply } from "redis";
import { CodedError } from "#contract/errors.ts";
import { retryDelaySeconds } from "#runtime/lib/backoff.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Argument, Command } from "./command.ts";
import { type Reply, replyTypes } from "./reply.ts";
import { RestError } from "./rest-error.ts";

export interface RedisLinkOptions {
  readonly redisUrl: string;
  readonly log: Logger;
  /** How long one request may wait for Redis. */
  readonly replyTimeoutMs: number;
  readonly random: () => number;
}

export const connectTimeoutMs = 5_000;
const reconnectBaseSeconds = 0.05;
const reconnectMaxSeconds = 2;

const unreachable = "ERR Redis is not reachable: nothing was applied";
/** It does not even take a connection's name then. */
const busy =
  "BUSY Redis runs a script and answers nothing else until that ends: nothing was applied (redis-cli SCRIPT KILL ends a script that has written nothing)";

/** What may pile up behind a Redis that is stuck, until the time limit gives up on it. */
const maxWaitingCommands = 50_000;

type Client = ReturnType<typeof openClient>;

/** RESP2, which every Redis and Valkey speaks and in which a REST result has its form. */
export function openClient(redisUrl: string, reconnectStrategy: false | ((retries: number) => number)) {
  try {
    return createClient({
      url: redisUrl,
      RESP: 2,
      name: "ourvidz-gateway",
      // Nothing waits for a Redis that is away: the HTTP client gets an error at once, and knows best whether to try again.
      disableOfflineQueue: true,
      maintNotifications: "disabled",
      // The client's own limit ends when a command has been written; the one that counts is in `#bounded`.
      commandOptions: { timeout: 0 },
      socket: { connectTimeout: connectTimeoutMs, reconnectStrategy },
    });
  } catch (cause) {
    // The URL may hold a password: it is not repeated.
    throw new CodedError("CONFIG_INVALID", "REDIS_URL is no Redis URL: it must be like redis://127.0.0.1:6379", {
      cause,
    });
  }
}

/**
 * The one connection that all requests share. Commands are pipelined: they are written in the order in which `run` and
 * `transact` are called, without waiting for each other.
 */
export class RedisLink {
  readonly #options: RedisLinkOptions;
  #client: Client;
  #waiting = 0;
  #isUp: boolean | null = null;
  /** Why nothing can be sent, for who asks meanwhile. */
  #away = unreachable;
  #isClosed = false;

  /** @throws CodedError CONFIG_INVALID when the URL is none */
  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.#client = this.#open();
  }

  /** Resolves when Redis has answered, or could not be reached: the link goes on trying then. */
  async connect(): Promise<void> {
    const client = this.#client;
    const { promise: tried, resolve } = Promise.withResolvers<void>();
    client.once("ready", resolve);
    client.once("error", resolve);
    this.#connect(client);
    await within(connectTimeoutMs, tried);
  }

  /**
   * The commands' replies, in order. Commands of other requests may run between them.
   *
   * @throws RestError 503 when Redis is away, 502 when it was lost with the commands under way, 504 past the time limit
   */
  run(commands: readonly Command[]): Promise<readonly Reply[]> {
    return this.#bounded(commands);
  }

  /**
   * The replies of a transaction, or the one error for which Redis discarded it.
   *
   * @throws RestError as `run` does
   */
  async transact(commands: readonly Command[]): Promise<readonly Reply[] | ErrorReply> {
    // Sent in one go, nothing comes between MULTI and EXEC although the connection is shared.
    const replies = await this.#bounded([["MULTI"], ...commands, ["EXEC"]]);
    const results = replies.at(-1);
    if (Array.isArray(results)) return results;
    // EXEC says only that it was aborted; the reason is the error of the command that could not be queued.
    const reason = replies.find((reply) => reply instanceof ErrorReply);
    return reason ?? new ErrorReply("EXECABORT Transaction discarded because of previous errors.");
  }

  close(): void {
    this.#isClosed = true;
    this.#client.destroy();
  }

  async #bounded(commands: readonly Command[]): Promise<readonly Reply[]> {
    if (this.#waiting + commands.length > maxWaitingCommands)
      throw new RestError(503, "ERR too many commands are waiting for Redis, try again");
    const client = this.#client;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(new RestError(504, "ERR Redis did not answer in time: the command may or may not have been applied"));
      this.#renew(client);
    }, this.#options.replyTimeoutMs);
    this.#waiting += commands.length;
    try {
      return await Promise.race([Promise.all(commands.map((command) => this.#send(client, command))), late]);
    } finally {
      this.#waiting -= commands.length;
      clearTimeout(timer);
    }
  }

  async #send(client: Client, command: readonly Argument[]): Promise<Reply> {
    try {
      return await client.sendCommand<Reply>(command, { typeMapping: replyTypes });
    } catch (error) {
      if (error instanceof ErrorReply) return error;
      if (error instanceof ClientOfflineError || error instanceof ClientClosedError)
        throw new RestError(503, this.#away);
      throw new RestError(502, "ERR the connection to Redis was lost: the command may or may not have been applied");
    }
  }

  /** Replies come in order: when one is overdue, all behind it are. The connection is given up and made anew. */
  #renew(stuck: Client): void {
    if (stuck !== this.#client || this.#isClosed) return;
    this.#report(false, "no answer in time");
    this.#client = this.#open();
    this.#connect(this.#client);
    stuck.destroy();
  }

  #open(): Client {
    const { redisUrl, random } = this.#options;
    const client = openClient(
      redisUrl,
      (retries) => retryDelaySeconds(retries + 1, reconnectBaseSeconds, reconnectMaxSeconds, random) * 1000,
    );
    client.on("ready", () => this.#report(true));
    client.on("error", (error: Error) => {
      this.#away = error.message.startsWith("BUSY ") ? busy : unreachable;
      this.#report(false, reasonOf(error));
    });
    return client;
  }

  #connect(client: Client): void {
    // It tries until it succeeds or is destroyed; what goes wrong arrives as `error` events.
    client.connect().catch(() => undefined);
  }

  /** Logs changes, not attempts: a Redis that is away for an hour is two lines. */
  #report(isUp: boolean, reason?: string): void {
    if (this.#isUp === isUp || this.#isClosed) return;
    this.#isUp = isUp;
    if (isUp) this.#options.log.info({}, "connected to Redis");
    else this.#options.log.warn({ reason }, "Redis is away: requests are answered with 503 until it is back");
  }
}

/** An address that has several numbers fails with one error of all of them, which has no message of its own. */
function reasonOf(error: Error): string {
  return error.message === "" && "code" in error ? String(error.code) : error.message;
}
