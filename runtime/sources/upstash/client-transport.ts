import { connectQueue, type QueueAddress } from "#contract/edge/connect-queue.ts";
import { isServerRefusal, isUnreadable, serverWords } from "#contract/queue-client.ts";
import type { Transport } from "./rest-client.ts";
import { NotJsonError, RefusedError } from "./rest-transport.ts";

/**
 * Commands over the official client, as producers send them: for commands of a person, which are a few requests. What
 * they cost in processor time, which is why containers have a transport of their own, does not matter there.
 */
export class ClientTransport implements Transport {
  readonly #redis: ReturnType<typeof connectQueue>;

  /** @throws CodedError CONFIG_INVALID */
  constructor(address: QueueAddress) {
    this.#redis = connectQueue(address);
  }

  async send([name = "", ...args]: readonly string[]): Promise<unknown> {
    try {
      return await this.#redis.exec<unknown>([name, ...args]);
    } catch (error) {
      if (isServerRefusal(error)) throw new RefusedError(serverWords(error));
      throw isUnreadable(error) ? new NotJsonError("the answer is not JSON", { cause: error }) : error;
    }
  }
}
