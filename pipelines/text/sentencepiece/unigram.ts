/** How much worse an unknown character is than the worst piece (SentencePiece's `kUnkPenalty`). */
const unknownPenalty = 10;

export interface UnigramModel {
  /** Pieces with the logarithm of their probability; a piece's id is its place. */
  readonly vocab: readonly (readonly [piece: string, score: number])[];
  readonly unk_id: number;
  /** Whether unknown text is spelled in bytes: `<0x41>`. */
  readonly byte_fallback?: boolean | undefined;
}

/** Best way to the place behind a piece. */
interface Step {
  readonly start: number;
  readonly score: number;
  readonly id: number | undefined;
}

/**
 * Splits text into the most probable pieces (Kudo, "Subword Regularization", 2018, section 3.2, by Viterbi's algorithm),
 * with ties, unknown text and byte fallback as in the Rust library of Hugging Face.
 */
export class Unigram {
  readonly #pieces = new Map<string, { readonly id: number; readonly score: number }>();
  readonly #maxPieceLength: number;
  readonly #unknownId: number;
  readonly #unknownScore: number;
  readonly #hasBytes: boolean;

  constructor({ vocab, unk_id, byte_fallback = false }: UnigramModel) {
    for (const [id, [piece, score]] of vocab.entries()) this.#pieces.set(piece, { id, score });
    this.#maxPieceLength = vocab.reduce((length, [piece]) => Math.max(length, piece.length), 0);
    this.#unknownId = unk_id;
    this.#unknownScore = vocab.reduce((least, [, score]) => Math.min(least, score), Infinity) - unknownPenalty;
    this.#hasBytes = byte_fallback;
  }

  /** Ids of the pieces of a text. Unknown characters that follow each other are one. */
  encode(text: string): number[] {
    const ids: number[] = [];
    let unknown = "";
    const flush = () => {
      if (unknown !== "") ids.push(...this.#spelled(unknown));
      unknown = "";
    };
    for (const { piece, id } of this.#split(text)) {
      if (id === undefined) unknown += piece;
      else {
        flush();
        ids.push(id);
      }
    }
    flush();
    return ids;
  }

  #split(text: string): { readonly piece: string; readonly id: number | undefined }[] {
    const best = this.#bestSteps(text);
    const pieces: { piece: string; id: number | undefined }[] = [];
    for (let end = text.length; end > 0; ) {
      const step = best[end];
      if (step === undefined) throw new RangeError("a text has a gap between its pieces");
      pieces.push({ piece: text.slice(step.start, end), id: step.id });
      end = step.start;
    }
    return pieces.reverse();
  }

  /** By the place where they end. */
  #bestSteps(text: string): (Step | undefined)[] {
    const best: (Step | undefined)[] = [];
    const offer = (end: number, step: Step) => {
      const known = best[end];
      if (known === undefined || step.score > known.score) best[end] = step;
    };
    for (let start = 0; start < text.length; ) {
      const score = best[start]?.score ?? 0;
      const next = start + ((text.codePointAt(start) ?? 0) > 0xffff ? 2 : 1);
      for (let end = next; end <= Math.min(text.length, start + this.#maxPieceLength); end++) {
        const piece = this.#pieces.get(text.slice(start, end));
        if (piece !== undefined) offer(end, { start, score: score + piece.score, id: piece.id });
      }
      if (!this.#pieces.has(text.slice(start, next))) {
        offer(next, { start, score: score + this.#unknownScore, id: undefined });
      }
      start = next;
    }
    return best;
  }

  #spelled(unknown: string): number[] {
    if (!this.#hasBytes) return [this.#unknownId];
    const ids = [...Buffer.from(unknown)].map(
      (byte) => this.#pieces.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`)?.id,
    );
    return ids.every((id) => id !== undefined) ? ids : [this.#unknownId];
  }
}
