import type { Command } from "commander";
import type { ChatOptions } from "../chat/conversation.ts";
import { action, examples } from "../command.ts";
import { numberOption } from "../job/options.ts";

export function addChat(program: Command): void {
  program
    .command("chat")
    .summary("talk with the language model")
    .description(
      "Asks the language model, without the queue: the text, or else what is piped in, is one question, and the answer is printed as " +
        "it grows. On a terminal and without a text it is a conversation, which the model reads from its beginning. Here in a " +
        "temporary data folder, or with --url in that container.\n\n" +
        "Ctrl-C stops an answer; while none is made it ends the command (exit code 130), as Ctrl-D does (0).",
    )
    .argument("[text...]", "several words are one question, - is what is piped in")
    .option("--system <text>", "what the model is told before the conversation")
    .option("--model <name>", "model folder instead of the container's own")
    .option("--temperature <n>", "0 takes the likeliest word each time", numberOption)
    .option("--max-tokens <n>", "of each answer", numberOption)
    .option("--seed <n>", "same seed, same answer", numberOption)
    .option("--session <id>", "with --url: a conversation that the container remembers")
    .option("--user <id>", "whose session it is")
    .addHelpText(
      "after",
      examples(
        'ourvidz chat "What can you draw?"',
        'ourvidz chat --system "Answer in one sentence."',
        "ourvidz chat --url https://gpu.example.com --session holiday",
        'echo "Three alpine flowers" | ourvidz chat --temperature 0 --json',
      ),
    )
    .action(
      action(async (operands, options: ChatOptions) => (await import("../chat/chat.ts")).chat(operands, options)),
    );
}
