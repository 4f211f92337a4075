import { z } from "zod";

/** Where a page ended, as that page named it; every source names it by a number. */
export const cursor = z.string().regex(/^[1-9]\d{0,15}$/, "must be a cursor that a page returned");
