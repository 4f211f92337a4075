import { enhancePrompt } from "./enhance-prompt.ts";

Deno.serve(enhancePrompt.serve(Deno.env.toObject()));
