import { RetryableError } from "#contract/errors.ts";
import type { CallOptions, JobOutput } from "#contract/handler.ts";
import type { Json } from "#contract/plain-json.ts";
import { toOutput } from "../handler-output.ts";
import type { CallRequest, FromAttempt, ToAttempt } from "../protocol.ts";
import { repeatedError } from "./failure.ts";

/** A call that a handler wants to make. */
export interface OutgoingCall {
  readonly type: string;
  readonly job: Readonly<Record<string, Json>>;
  readonly options: CallOptions;
}

type Answer = Extract<ToAttempt["message"], { kind: "call_text" | "call_ended" | "call_failed" }>;

interface Open extends PromiseWithResolvers<JobOutput> {
  readonly onText: CallOptions["onText"];
}

/** How many calls one attempt may have open: each is kept by the dispatcher process. */
const maxOpen = 8;

/** The calls of one attempt to handlers of other workers, which the dispatcher process makes for it. */
export class OutgoingCalls {
  readonly #send: (message: FromAttempt["message"]) => void;
  readonly #open = new Map<number, Open>();
  #count = 0;

  constructor(send: (message: FromAttempt["message"]) => void) {
    this.#send = send;
  }

  /** @param attemptSignal ends the call too; the dispatcher process does that by itself */
  async make({ type, job, options }: OutgoingCall, attemptSignal: AbortSignal): Promise<JobOutput> {
    const { signal: own, onText, timeoutSeconds } = options;
    const signal = own === undefined ? attemptSignal : AbortSignal.any([own, attemptSignal]);
    signal.throwIfAborted();
    if (this.#open.size >= maxOpen)
      throw new RetryableError(`${maxOpen} calls of this job are open, which is the limit: await some of them first.`, {
        code: "OVERLOADED",
      });
    const requestId = ++this.#count;
    const open: Open = { ...Promise.withResolvers<JobOutput>(), onText };
    this.#open.set(requestId, open);
    const onAbort = () => {
      this.#send({ kind: "abort_call", requestId });
      open.reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const timeout: Pick<CallRequest, "timeoutSeconds"> = timeoutSeconds === undefined ? {} : { timeoutSeconds };
    this.#send({ kind: "call", requestId, request: { type, job, wantsText: onText !== undefined, ...timeout } });
    try {
      return await open.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#open.delete(requestId);
    }
  }

  receive(message: Answer): void {
    const open = this.#open.get(message.requestId);
    if (open === undefined) return;
    if (message.kind === "call_text") this.#onText(open, message.delta);
    else if (message.kind === "call_ended") open.resolve(toOutput(message.output));
    else open.reject(repeatedError(message));
  }

  rejectAll(error: Error): void {
    for (const open of this.#open.values()) open.reject(error);
  }

  /** What the caller's own function throws is the failure of its call. */
  #onText(open: Open, delta: string): void {
    try {
      open.onText?.(delta);
    } catch (error) {
      open.reject(error);
    }
  }
}
