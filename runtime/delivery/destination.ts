import { z } from "zod";
import type { DeliveryNote } from "#contract/delivery-note.ts";
import { type CodedError, RetryableError } from "#contract/errors.ts";
import type { Callback } from "./callbacks/callback.ts";
import type { AssetStore } from "./stores/asset-store.ts";

/*
 * Where a result was to go when it was made. A container that starts without an app's address keeps what was made for the
 * app: it would be taken for delivered, and the app would never hear of it.
 */
export const destination = z.object({ store: z.string(), callback: z.string() });
export type Destination = z.output<typeof destination>;

/** The names of the data folder's own store and callback. */
const ownStore = "local";
const ownCallback = "embedded";
/** A configuration changes with a restart, and then all are tried. */
const waitSeconds = 300;

export function destinationOf(ports: {
  readonly store: Pick<AssetStore, "name">;
  readonly callback: Pick<Callback, "name">;
}): Destination {
  return { store: ports.store.name, callback: ports.callback.name };
}

/**
 * Why this step must not be done here: it would be done in the data folder instead of at the app. Null when it may be, also
 * for a row that does not say what it was made for.
 */
export function missingDestination(
  step: DeliveryNote["step"],
  madeFor: Destination | undefined,
  here: Destination,
): CodedError | null {
  if (madeFor === undefined || step === "webhook") return null;
  if (step === "files") {
    if (here.store !== ownStore || madeFor.store === ownStore) return null;
    return new RetryableError(
      "The files were made for the app's storage, and none is configured: set SUPABASE_URL and SUPABASE_SERVICE_KEY.",
      { code: "STORAGE_REFUSED", delaySeconds: waitSeconds },
    );
  }
  if (here.callback !== ownCallback || madeFor.callback === ownCallback) return null;
  return new RetryableError(
    "The result was made for a callback, and none is configured: set CALLBACK_URL, or SUPABASE_URL.",
    { code: "CALLBACK_REFUSED", delaySeconds: waitSeconds },
  );
}
