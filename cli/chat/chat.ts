import process from "node:process";
import type { NewChat, OurvidzClient } from "#client/client.ts";
import { exitCodes, usageError } from "../errors.ts";
import { Interruption, signalExitCodes } from "../interruption.ts";
import { note, printResult, reportError } from "../output.ts";
import { pipedText, withPipedPrompt } from "../prompts/piped-prompt.ts";
import { noteAnswer, printAnswer } from "./answer.ts";
import { type ChatOptions, Conversation } from "./conversation.ts";
import { withLanguageModel } from "./language-model.ts";
import { readLine } from "./read-line.ts";

/** The body of `ourvidz chat`: one question, or a conversation on a terminal. */
export async function chat(words: readonly string[], options: ChatOptions): Promise<number> {
  checkOptions(options);
  const isConversation = words.length === 0 && process.stdin.isTTY === true;
  if (isConversation && options.json) throw usageError("--json answers one question: give it as text, or pipe it in.");
  // Before signals are the command's own: what is piped in may never end.
  const question = isConversation ? null : await questionOf(words);
  const interruption = new Interruption();
  try {
    return await withLanguageModel("chat", options, (client) => {
      const talk = { client, conversation: new Conversation(options), options, interruption };
      return question === null ? converse(talk) : answerOne(talk, question);
    });
  } finally {
    interruption.close();
  }
}

function checkOptions({ session, user, url, data }: ChatOptions): void {
  const isRemote = url !== undefined && data === undefined;
  if (session !== undefined && !isRemote)
    throw usageError(
      "--session is a conversation that a container remembers: name the container with --url. Without both, a conversation on a terminal lasts as long as this command.",
    );
  if (user !== undefined && session === undefined)
    throw usageError("--user says whose --session it is: give that too.");
}

async function questionOf(words: readonly string[]): Promise<string> {
  const given = words.length > 0 ? (await withPipedPrompt(words)).join(" ") : await pipedText();
  if (given.trim() === "") throw usageError("There is nothing to answer: give a text, or pipe one in.");
  return given.trim();
}

interface Talk {
  readonly client: OurvidzClient;
  readonly conversation: Conversation;
  readonly options: ChatOptions;
  readonly interruption: Interruption;
}

async function answerOne({ client, conversation, options, interruption }: Talk, question: string): Promise<number> {
  const request: NewChat = conversation.requestFor(question);
  const { signal } = interruption;
  try {
    if (options.json) printResult(options, await client.chat(request, { signal }), "");
    else noteAnswer(await printAnswer(client, request, signal));
    return interruption.exitCode ?? exitCodes.completed;
  } catch (error) {
    if (interruption.exitCode === null) throw error;
    return interruption.exitCode;
  }
}

/**
 * Question and answer in turn:
 *
 *   asking ──a line──► answering ──the end, Ctrl-C, an error──► asking
 *      └── Ctrl-D, Ctrl-C ──► over        └── a second Ctrl-C, SIGTERM ──► over
 */
async function converse(talk: Talk): Promise<number> {
  const { interruption } = talk;
  note("Ctrl-C stops an answer, Ctrl-D ends.");
  for (;;) {
    const line = await readLine(interruption.signal);
    if (line === "over") return exitCodes.completed;
    if (line === "interrupted") return interruption.exitCode ?? signalExitCodes.SIGINT;
    if (line.text.trim() !== "") await answerLine(talk, line.text);
    if (interruption.exitCode === null) continue;
    if (interruption.exitCode !== signalExitCodes.SIGINT) return interruption.exitCode;
    interruption.rearm();
  }
}

/** What goes wrong is reported, and the conversation goes on: the next question may be answered. */
async function answerLine({ client, conversation, options, interruption }: Talk, question: string): Promise<void> {
  try {
    const answered = await printAnswer(client, conversation.requestFor(question), interruption.signal);
    if (answered.text !== "") conversation.add(question, answered.text);
    noteAnswer(answered);
  } catch (error) {
    reportError(error, options);
  }
}
