import type { NewChat } from "#client/client.ts";
import type { ChatMessage } from "#contract/chat.ts";
import type { GlobalOptions } from "../settings.ts";

export interface ChatOptions extends GlobalOptions {
  readonly system?: string;
  readonly model?: string;
  readonly temperature?: number;
  readonly maxTokens?: number;
  readonly seed?: number;
  readonly session?: string;
  readonly user?: string;
}

/** What was said so far. In a session the container remembers it, and is told only the next question. */
export class Conversation {
  readonly #options: ChatOptions;
  readonly #turns: ChatMessage[] = [];

  constructor(options: ChatOptions) {
    this.#options = options;
  }

  requestFor(question: string): NewChat {
    const { model, temperature, maxTokens, seed, session, user } = this.#options;
    const settings = { model, temperature, max_tokens: maxTokens, seed, user_id: user };
    const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
    const metadata = session === undefined ? {} : { metadata: { session_id: session } };
    return {
      ...given,
      ...metadata,
      messages: [...this.#system(), ...this.#turns, { role: "user", content: question }],
    };
  }

  add(question: string, answer: string): void {
    if (this.#options.session !== undefined) return;
    this.#turns.push({ role: "user", content: question }, { role: "assistant", content: answer });
  }

  #system(): ChatMessage[] {
    const { system } = this.#options;
    return system === undefined ? [] : [{ role: "system", content: system }];
  }
}
