import process from "node:process";
import { CodedError, toErrorReport } from "#contract/errors.ts";
import { loadHandler } from "#runtime/job-types/registry.ts";
import { type ReadAnswer, type ReadRequest, readRequest } from "./protocol.ts";

/*
 * Entry of the process in which prompts are read: tokenizers run on the calling thread, and neither the dispatcher's loop
 * nor a worker that computes has time for them. It has no state: it may be killed at any moment.
 */
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
process.on("disconnect", () => process.exit(0));

async function answer({ id, type, handlersFolder, modelFolder, texts }: ReadRequest): Promise<ReadAnswer> {
  try {
    const loaded = await loadHandler(handlersFolder, `${type}.ts`);
    if (!("handler" in loaded)) throw new CodedError("HANDLER_INVALID", loaded.problem);
    const { readPrompt } = loaded.handler;
    if (readPrompt === undefined)
      throw new CodedError("UNSUPPORTED_OPTION", `${type} does not say how it reads prompts.`);
    return { id, reading: await readPrompt(texts, modelFolder) };
  } catch (error) {
    return { id, error: toErrorReport(error, "HANDLER_FAILED") };
  }
}

process.on("message", (message) => {
  void answer(readRequest.parse(message)).then((result) => process.send?.(result));
});
