import { type ErrorReply, RESP_TYPES } from "redis";

/**
 * A reply of Redis, decoded no further than it has to be: a buffer is a bulk string, a string is a status or an
 * integer. Integers stay text because JavaScript numbers lose digits above 2^53 and Redis counts to 2^63. An error that
 * Redis answers is a reply like any other, not an exception: it ends nothing but its own command.
 */
export type Reply = null | string | Buffer | ErrorReply | readonly Reply[];

/** Makes the Redis client decode replies as `Reply` says. */
export const replyTypes = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.NUMBER]: String } as const;
