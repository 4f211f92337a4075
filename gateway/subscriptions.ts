import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReply } from "redis";
import type { Logger } from "#runtime/observe/log.ts";
import { connectTimeoutMs, openClient } from "./redis-link.ts";
import { RestError } from "./rest-error.ts";

export type SubscriptionKind = "subscribe" | "psubscribe";

/** Where the messages of subscriptions go. */
export interface Subscriber {
  /** @param pattern the pattern that the channel matched, for a psubscribe */
  message(channel: Buffer, text: Buffer, pattern: string | undefined): void;
  /** Redis is lost, and with it perhaps messages: the subscriber has to begin anew. */
  end(): void;
}

/** One channel or pattern with all that listen to it; Redis gets one SUBSCRIBE for it. */
interface Topic {
  readonly key: string;
  readonly kind: SubscriptionKind;
  readonly name: string;
  readonly subscribers: Set<Subscriber>;
  readonly listener: (text: Buffer, channel: Buffer) => void;
  /** The last state sent to Redis. */
  isSubscribed: boolean;
  /** The end of the topic's last change: the next one waits for it, so that they arrive in order. */
  settled: Promise<void>;
}

type Client = ReturnType<typeof openClient>;

/**
 * Subscriptions of all event streams over one Redis connection, opened for the first of them.
 *
 * A connection that is lost is not restored: messages may have been missed, and only the end of the stream shows its
 * reader, who then connects again and looks at what the messages were about. Upstash's streams end at any time too.
 */
export class Subscriptions {
  readonly #redisUrl: string;
  readonly #log: Logger;
  readonly #topics = new Map<string, Topic>();
  #client: Promise<Client> | null = null;

  constructor(redisUrl: string, log: Logger) {
    this.#redisUrl = redisUrl;
    this.#log = log;
  }

  /**
   * Resolves when Redis has confirmed the subscription. Messages may come before.
   *
   * @throws RestError 503 when Redis is away, 400 when it refuses
   */
  async add(kind: SubscriptionKind, name: string, subscriber: Subscriber): Promise<void> {
    const topic = this.#topic(kind, name);
    topic.subscribers.add(subscriber);
    try {
      await this.#settle(topic);
    } catch (error) {
      this.remove(kind, name, subscriber);
      throw error instanceof ErrorReply ? new RestError(400, error.message) : subscriptionLost();
    }
  }

  remove(kind: SubscriptionKind, name: string, subscriber: Subscriber): void {
    const topic = this.#topics.get(topicKey(kind, name));
    if (topic?.subscribers.delete(subscriber)) this.#settle(topic).catch(() => undefined);
  }

  /** Pings Redis; without one in time, everything ends as when the connection breaks. */
  async check(limitMs: number): Promise<void> {
    const opening = this.#client;
    if (opening === null) return;
    try {
      await Promise.race([opening.then((client) => client.ping()), rejectAfter(limitMs)]);
    } catch (error) {
      this.#lose(opening, error);
    }
  }

  close(): void {
    if (this.#client !== null) this.#lose(this.#client);
  }

  #topic(kind: SubscriptionKind, name: string): Topic {
    const key = topicKey(kind, name);
    const known = this.#topics.get(key);
    if (known !== undefined) return known;
    const pattern = kind === "psubscribe" ? name : undefined;
    const subscribers = new Set<Subscriber>();
    const listener = (text: Buffer, channel: Buffer): void => {
      for (const subscriber of subscribers) subscriber.message(channel, text, pattern);
    };
    const topic = { key, kind, name, subscribers, listener, isSubscribed: false, settled: Promise.resolve() };
    this.#topics.set(key, topic);
    return topic;
  }

  /** Brings the state at Redis to what the topic's subscribers want, after the change before this one. */
  #settle(topic: Topic): Promise<void> {
    const change = topic.settled.then(() => this.#apply(topic));
    topic.settled = change.catch(() => undefined);
    return change;
  }

  async #apply(topic: Topic): Promise<void> {
    const { key, kind, name, listener, subscribers } = topic;
    // What was lost is not taken up on the next connection: its subscribers have been notified to begin anew.
    if (this.#topics.get(key) !== topic) throw subscriptionLost();
    const isWanted = subscribers.size > 0;
    if (isWanted !== topic.isSubscribed) {
      const client = await this.#connection();
      if (kind === "subscribe") {
        await (isWanted ? client.subscribe(name, listener, true) : client.unsubscribe(name, listener, true));
      } else {
        await (isWanted ? client.pSubscribe(name, listener, true) : client.pUnsubscribe(name, listener, true));
      }
      topic.isSubscribed = isWanted;
    }
    // Its last subscriber may have left while Redis was confirming: then the change after this one unsubscribes.
    const isUnused = subscribers.size === 0 && !topic.isSubscribed;
    if (isUnused && this.#topics.get(key) === topic) this.#topics.delete(key);
  }

  #connection(): Promise<Client> {
    if (this.#client !== null) return this.#client;
    const client = openClient(this.#redisUrl, false);
    const opening = Promise.race([client.connect(), rejectAfter(connectTimeoutMs)]).then(() => client);
    client.on("error", (error) => this.#lose(opening, error));
    opening.catch((error) => {
      this.#lose(opening, error);
      client.destroy();
    });
    this.#client = opening;
    return opening;
  }

  #lose(opening: Promise<Client>, error?: unknown): void {
    if (this.#client !== opening) return;
    this.#client = null;
    const topics = [...this.#topics.values()];
    this.#topics.clear();
    if (error !== undefined && topics.length > 0)
      this.#log.warn({ error, topics: topics.length }, "the subscriptions' connection to Redis was lost: streams end");
    for (const { subscribers } of topics) for (const subscriber of subscribers) subscriber.end();
    opening.then((client) => client.destroy()).catch(() => undefined);
  }
}

async function rejectAfter(limitMs: number): Promise<never> {
  await sleep(limitMs, undefined, { ref: false });
  throw new Error("no answer in time");
}

export function subscriptionLost(): RestError {
  return new RestError(503, "ERR Redis is not reachable: nothing was subscribed");
}

function topicKey(kind: SubscriptionKind, name: string): string {
  return `${kind} ${name}`;
}
