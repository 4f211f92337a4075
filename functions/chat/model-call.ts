import type { ChatRequest, EnhanceRequest } from "#contract/chat.ts";
import type { CallAnswer, Calls, InteractiveCall } from "#runtime/calls/calls.ts";
import { TextInbox } from "#runtime/calls/text-inbox.ts";
import { idempotencyKey } from "../api/schemas/submission.ts";
import { HttpError } from "../errors.ts";
import type { ServerEvents } from "../http/event-stream.ts";
import type { Reply, RouteRequest } from "../http/route.ts";

/** A request for text, which a handler of the language model answers without the queue. */
export type ModelCall = Pick<InteractiveCall, "type" | "job" | "userId" | "timeoutSeconds">;

type Caller = Pick<RouteRequest, "headers" | "signal">;

interface CallsHere {
  readonly calls: Pick<Calls, "callNow">;
}

/** A request's body as a call: what is a setting goes into `config`. */
export function callOf(type: string, body: ChatRequest | EnhanceRequest): ModelCall {
  const { user_id: userId, metadata, model, stream: _stream, enhance_type: _type, ...others } = body;
  const { enhancement_timeout: _timeout, ...fields } = others;
  return { type, userId, job: { ...fields, metadata: metadata ?? {}, model_variant: model } };
}

/**
 * @param attempt of the same request: each has an answer of its own under the request's idempotency key
 * @throws CodedError as `callNow` does; INVALID_REQUEST for a wrong header Idempotency-Key
 */
export async function answerCall(
  { headers, signal }: Caller,
  { calls }: CallsHere,
  call: ModelCall,
  attempt = 1,
): Promise<CallAnswer> {
  const key = keyOf(headers);
  const idempotencyKey = key === undefined || attempt === 1 ? key : `${key} ${attempt}`;
  return await calls.callNow({ ...call, signal, idempotencyKey });
}

/** The text as it comes, and the answer at its end. */
export interface TextStream {
  readonly text: AsyncIterable<string>;
  readonly answer: Promise<CallAnswer>;
}

/** How long a failure may still be answered with its own status: then the stream begins, so that proxies do not give up. */
const statusMs = 10_000;

/**
 * As {@link answerCall}, streamed. What fails before the first piece of text, or within ten seconds, is thrown; a later
 * failure is for `format` to report. The call ends when its reader has left.
 */
export async function streamCall(
  { headers, signal }: Caller,
  { calls }: CallsHere,
  call: ModelCall,
  format: (stream: TextStream) => AsyncIterable<ServerEvents>,
): Promise<Extract<Reply, { events: unknown }>> {
  const reader = new AbortController();
  const inbox = new TextInbox();
  const begun = Promise.withResolvers<void>();
  const onText = (delta: string) => {
    begun.resolve();
    inbox.push(delta);
  };
  const timer = setTimeout(begun.resolve, statusMs);
  const both = AbortSignal.any([signal, reader.signal]);
  const answer = calls.callNow({ ...call, signal: both, onText, idempotencyKey: keyOf(headers) });
  answer.then(
    () => inbox.close(),
    (error: unknown) => inbox.fail(error),
  );
  try {
    await Promise.race([begun.promise, answer]);
  } finally {
    clearTimeout(timer);
  }
  return {
    events: (left) => {
      left.addEventListener("abort", () => reader.abort(new HttpError("CANCELLED", "The reader has left.")));
      return format({ text: inbox, answer });
    },
    refused: () => reader.abort(new HttpError("CANCELLED", "No stream could be opened for the answer.")),
  };
}

function keyOf(headers: Headers): string | undefined {
  const key = headers.get("idempotency-key") ?? undefined;
  if (key === undefined || idempotencyKey.safeParse(key).success) return key;
  throw new HttpError("INVALID_REQUEST", "The header Idempotency-Key must be 1 to 255 characters long.");
}
