import { getPath } from "hono/utils/url";

/*
 * RunPod serves the API of OpenAI's clients below an endpoint: `/v2/<endpoint>/openai/v1/chat/completions`. Here it is that of the
 * container, `/v1/…`, whatever the endpoint is called.
 */
const belowEndpoint = /^\/v2\/[A-Za-z0-9][A-Za-z0-9_-]{0,63}\/openai(\/v1\/.+)$/;

/** The path by which a request is routed. */
export function routedPath(request: Request): string {
  const path = getPath(request);
  return belowEndpoint.exec(path)?.[1] ?? path;
}
