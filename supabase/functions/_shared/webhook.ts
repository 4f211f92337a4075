import { z } from "zod";

/*
 * `webhook_url` of a job: where its end is reported to, beside the app. Whether its host may be called is decided by who
 * takes the job and by who sends: it depends on the deployment.
 */
const maxCharacters = 2048;
const rule = "must be an http(s) address of at most 2,048 characters without user, password and fragment";

export const webhookUrl = z
  .string(rule)
  .max(maxCharacters, rule)
  .refine((text) => isPlainAddress(text), { error: rule });

function isPlainAddress(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) return false;
  return url.username === "" && url.password === "" && url.hash === "";
}
