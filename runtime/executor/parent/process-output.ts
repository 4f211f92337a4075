import type { ChildProcess } from "node:child_process";
import { StringDecoder } from "node:string_decoder";
import { standardError } from "#runtime/observe/standard-error.ts";
import { endMark } from "../protocol.ts";
import { AttemptOutput, type OutputStream, outputStreams } from "./attempt-output.ts";

interface Begun {
  readonly serial: number;
  readonly output: AttemptOutput;
}

/** The part of a child process that is used. */
export interface PrintingProcess extends Pick<ChildProcess, OutputStream> {
  once(event: "exit", listener: () => void): unknown;
}

/** How long the streams of a process that is gone may take to end: what it has started may hold them. */
const endLimitMs = 1000;

/**
 * What an executor's process prints, by attempt. It goes to standard error with the dispatcher's own, and its last lines are
 * kept. The end of an attempt comes over another channel than its output, so that the process marks it in each stream, too: what comes
 * before the mark belongs to the attempt, however late it is read.
 */
export class ProcessOutput {
  /** Of no attempt. */
  readonly #own = new AttemptOutput();
  readonly #begun = new Map<OutputStream, Begun[]>(outputStreams.map((stream) => [stream, []]));
  readonly #decoders = new Map(outputStreams.map((stream) => [stream, new StringDecoder("utf8")]));
  /** What may be the beginning of a mark. */
  readonly #held = new Map<OutputStream, string>();
  #newest: AttemptOutput = this.#own;

  constructor(child: PrintingProcess) {
    for (const stream of outputStreams) {
      child[stream]?.on("data", (chunk: Buffer) => this.#read(stream, chunk));
      child[stream]?.once("close", () => this.#end(stream));
      if (!child[stream]) this.#end(stream);
    }
    child.once("exit", () => setTimeout(() => this.#endAll(), endLimitMs).unref());
  }

  /** What the attempt of this number prints from now on. */
  begin(serial: number): AttemptOutput {
    const output = new AttemptOutput();
    this.#newest = output;
    for (const [stream, begun] of this.#begun) {
      begun.push({ serial, output });
      if (!this.#decoders.has(stream)) output.end(stream);
    }
    return output;
  }

  /** The last lines of the attempt that began last, or of the process before the first one. */
  get evidence(): string {
    return this.#newest.evidence;
  }

  #read(stream: OutputStream, chunk: Buffer): void {
    const text = `${this.#held.get(stream) ?? ""}${this.#decoders.get(stream)?.write(chunk) ?? ""}`;
    this.#held.delete(stream);
    let from = 0;
    for (const mark of text.matchAll(endMark.pattern)) {
      this.#print(stream, text.slice(from, mark.index));
      this.#attemptEnded(stream, Number(mark[1]));
      from = mark.index + mark[0].length;
    }
    const rest = text.slice(from);
    const start = rest.indexOf(endMark.first, Math.max(0, rest.length - endMark.maxCharacters));
    this.#print(stream, start < 0 ? rest : rest.slice(0, start));
    if (start >= 0) this.#held.set(stream, rest.slice(start));
  }

  #print(stream: OutputStream, text: string): void {
    if (text === "") return;
    standardError().write(text);
    (this.#begun.get(stream)?.[0]?.output ?? this.#own).write(stream, text);
  }

  /** A process that was asked for something else meanwhile has marked nothing: what began before is over, too. */
  #attemptEnded(stream: OutputStream, serial: number): void {
    const begun = this.#begun.get(stream) ?? [];
    const ended = begun.findIndex((each) => each.serial === serial);
    for (const { output } of begun.splice(0, ended + 1)) output.end(stream);
  }

  #end(stream: OutputStream): void {
    this.#print(stream, `${this.#held.get(stream) ?? ""}${this.#decoders.get(stream)?.end() ?? ""}`);
    this.#held.delete(stream);
    this.#decoders.delete(stream);
    for (const { output } of this.#begun.get(stream)?.splice(0) ?? []) output.end(stream);
  }

  #endAll(): void {
    for (const stream of outputStreams) this.#end(stream);
  }
}
